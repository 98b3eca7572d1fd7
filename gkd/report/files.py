"""The files of a report."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gkd.report.html import page
from gkd.report.markdown import markdown
from gkd.report.results import Results
from gkd.training.files import write_text


def write_files(runs: Sequence[Results], folder: Path) -> list[Path]:
    """Write ``results.json``, ``table.md`` and ``report.html``, each of them at once."""
    contents = {
        "results.json": json_text(runs),
        "table.md": markdown(runs),
        "report.html": page(runs),
    }
    for name, text in contents.items():
        write_text(folder / name, text)
    return [folder / name for name in contents]


def json_text(runs: Sequence[Results]) -> str:
    """Write one run's results as JSON; several as a list under ``runs``."""
    dumped: list[dict[str, Any]] = [run.model_dump(mode="json") for run in runs]
    content = dumped[0] if len(dumped) == 1 else {"runs": dumped}
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
