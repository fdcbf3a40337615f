"""Directed graphs with weights."""
