"""A tool that counts words."""

VERSION = "@VERSION@"
