"""Exact linear algebra with fractions."""
