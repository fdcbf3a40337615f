"""Runs jobs in order of priority, each after the jobs that it needs."""
