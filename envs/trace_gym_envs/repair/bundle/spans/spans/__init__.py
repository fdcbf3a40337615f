"""Half-open spans of whole numbers, and sets of them."""
