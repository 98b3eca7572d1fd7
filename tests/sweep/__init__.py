"""Tests of sweeps; a package, as its ``conftest`` would pass for that of the trainings."""
