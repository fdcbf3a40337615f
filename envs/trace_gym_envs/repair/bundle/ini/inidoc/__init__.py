"""Reads and writes configuration files."""
