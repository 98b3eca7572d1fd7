"""Benchmarks: what gkd does against a named alternative, measured side by side."""

from gkd.benchmarking.benchmark import Benchmark, Goal, MissingPackageError, Work
from gkd.benchmarking.setting import Setting

__all__ = ["Benchmark", "Goal", "MissingPackageError", "Setting", "Work"]
