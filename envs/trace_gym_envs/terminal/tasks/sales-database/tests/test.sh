#!/bin/bash
# Writes /logs/verifier/reward.json. The interpreter takes nothing from its environment (-E, -s, -S).
exec python3 -E -s -S /tests/checks.py
