"""The command line, one file a command: reads argv, prints, sets exit codes; libraries do the work."""

from trace_gym.cli.main import main

__all__ = ["main"]
