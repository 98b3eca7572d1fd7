"""The files of a report."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gkd.files import write_atomically, write_text
from gkd.report.feature_space_figure import feature_space_figure
from gkd.report.html import page
from gkd.report.markdown import markdown
from gkd.report.results import Results


def write_files(runs: Sequence[Results], folder: Path) -> list[Path]:
    """Write ``results.json``, ``table.md``, ``report.html`` and pictures, each of them at once."""
    written = []
    for name, text in _WRITERS.items():  # the numbers first: they must not wait for a picture
        written.append(folder / name)
        write_text(written[-1], text(runs))
    return [*written, *_pictures(runs, folder)]


def _pictures(runs: Sequence[Results], folder: Path) -> list[Path]:
    """Write the picture of a single run's feature spaces, to be used outside of the page."""
    figure = feature_space_figure(runs[0]) if len(runs) == 1 else None
    if figure is None:
        return []
    path = folder / "feature_space.png"
    write_atomically(path, lambda partial: figure.savefig(partial, format="png", dpi=200))
    return [path]


def json_text(runs: Sequence[Results]) -> str:
    """Write one run's results as JSON; several as a list under ``runs``."""
    dumped: list[dict[str, Any]] = [run.model_dump(mode="json") for run in runs]
    content = dumped[0] if len(dumped) == 1 else {"runs": dumped}
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


_WRITERS: Mapping[str, Callable[[Sequence[Results]], str]] = {
    "results.json": json_text,
    "table.md": markdown,
    "report.html": page,
}
