"""Benchmarks: what gkd does against a named alternative, measured side by side."""

from gkd.benchmarking.benchmark import Benchmark, Goal, MissingPackageError, Setting, Work

__all__ = ["Benchmark", "Goal", "MissingPackageError", "Setting", "Work"]
