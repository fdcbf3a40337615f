"""Unmodified programs written against the OpenAI SDK as agents: see `agent` for the contract."""
