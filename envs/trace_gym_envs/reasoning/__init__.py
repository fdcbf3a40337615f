"""Reasoning tasks: by the generators of reasoning-gym (`suite.py`), in a closed vocabulary (`compact.py`).

Light on purpose: the compact suite needs no package beyond the gym's own.
"""
