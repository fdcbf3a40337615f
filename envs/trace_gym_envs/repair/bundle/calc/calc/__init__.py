"""Evaluates arithmetic with names and functions."""
