"""Tests that take long: ``make reliability`` runs them, by ``GKD_RELIABILITY=1``."""

import os

import pytest

LONG = pytest.mark.skipif(
    os.environ.get("GKD_RELIABILITY") != "1", reason="long: GKD_RELIABILITY=1 runs it"
)
