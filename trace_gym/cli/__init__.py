"""The command line: one file a command. Reads argv, prints, sets exit codes; everything it does is a library call."""

from trace_gym.cli.main import main

__all__ = ["main"]
