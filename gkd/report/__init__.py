"""What a run found: ``results.json``, ``table.md`` and ``report.html`` in its directory.

Nothing but finished networks' ``summary.json`` files, the recipe and the environment is read, so
that a report can be written again at any time, also of a run that is not finished.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def write_report(run_dir: Path | str) -> dict[str, Any]:
    """Write the report of a run into its directory, and return its results.

    Args:
        run_dir: Run directory, as ``gkd run`` writes it; its networks may be unfinished.

    Returns:
        What ``results.json`` holds.

    Raises:
        DataError: It is not a run directory, or a file in it cannot be read.
    """
    from gkd.report.outputs import write_files
    from gkd.report.results import run_results

    run = run_results(Path(run_dir))
    write_files([run], Path(run_dir))
    return run.model_dump(mode="json")


def print_table(results: Mapping[str, Any]) -> None:
    """Print the table of results, verdicts and protocol in the terminal.

    Args:
        results: What :func:`write_report` returned, or ``results.json`` holds.
    """
    from gkd.report.results import Results
    from gkd.report.terminal import print_runs

    print_runs([Results.model_validate(results)])
