"""Agents and renderers, found by trace-gym through entry points like anybody's. Importing it does nothing."""
