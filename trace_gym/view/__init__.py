"""The run viewer: a small ASGI app over run folders, and one static page. Nothing below imports it."""
