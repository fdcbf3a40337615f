"""HumanEval: 164 functions to write from their docstrings, judged out of the program's reach.

Light on purpose: the process that runs a hidden check imports from here and loads nothing else.
"""
