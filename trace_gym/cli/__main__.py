"""`python -m trace_gym.cli` is `trace-gym`."""

from trace_gym.cli.main import main

if __name__ == "__main__":
    main()
