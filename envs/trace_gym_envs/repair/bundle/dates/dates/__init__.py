"""A calendar of its own: dates are (year, month, day) tuples."""
