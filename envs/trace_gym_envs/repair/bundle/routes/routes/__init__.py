"""Finds the handler for a request path."""
