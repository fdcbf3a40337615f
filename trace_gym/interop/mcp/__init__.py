"""Any MCP server's tools as an environment: see `suite`."""
