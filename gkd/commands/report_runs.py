"""``gkd report``: reports written again, and runs compared."""

import json
from collections.abc import Sequence
from pathlib import Path

from gkd.commands.listing import print_json
from gkd.errors import DataError
from gkd.report.outputs import json_text, write_files
from gkd.report.results import Results, kept_apart, pooled_parts, results_of
from gkd.report.terminal import print_runs
from gkd.sweep.sweep_directory import SWEEP_FILE


def report_runs(run_dirs: Sequence[Path], *, out: Path | None, as_json: bool) -> None:
    """Write reports, and print one table over all runs; those of one recipe pool their seeds.

    Args:
        run_dirs: Run directories, finished or not, or folders in which the ``results.json`` of one
            is kept.
        out: Folder for one report over all of them; None writes each run's own in its directory,
            and nothing beside results that are kept.
        as_json: Print the results as JSON instead.

    Raises:
        DataError: One is not a run directory, or a report cannot be written.
    """
    for directory in run_dirs:
        if (directory / SWEEP_FILE).is_file():
            raise DataError(
                f"{directory} is the folder of a sweep, which has a report of its own; to run "
                f"the recipe that it found: gkd run {directory / 'best.toml'}"
            )
    groups = pooled_parts(run_dirs)
    runs, notes = [results_of(group) for group in groups], kept_apart(groups)
    if out is None:
        for group, run in zip(groups, runs, strict=True):
            for part in (one for one in group if not one.kept):
                _write([run if len(group) == 1 else results_of([part])], part.directory)
    else:
        _write(runs, out, notes)
    if as_json:
        print_json(json.loads(json_text(runs)))
    else:
        print_runs(runs, notes=notes)


def _write(runs: Sequence[Results], folder: Path, notes: Sequence[str] = ()) -> None:
    try:
        write_files(runs, folder, notes)
    except OSError as error:
        raise DataError(
            f"no report can be written to {folder}: {error.strerror}; --out names another folder"
        ) from error
