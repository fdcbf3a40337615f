"""Templates for text and HTML."""
