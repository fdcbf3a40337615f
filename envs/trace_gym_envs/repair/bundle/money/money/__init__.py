"""Amounts of money, accounts and rates."""
