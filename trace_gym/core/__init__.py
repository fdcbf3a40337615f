"""Nouns and protocols. Standard library and numpy only; imports nothing from the floors above."""
