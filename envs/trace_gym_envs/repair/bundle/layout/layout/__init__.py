"""Sets plain text for a fixed width."""
