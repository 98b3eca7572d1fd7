"""Keep what a run has found, of whose networks nothing is kept.

    python results/keep.py NAME RUN [RUN ...]

Writes the recipe, the table and ``results.json`` of a run, or of several that differ by their
seeds alone, to ``results/NAME``. A RUN may itself be such a folder, to which further seeds are
added. Long curves lose most of their epochs, and paths of the machine are left out.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gkd.files import parse_toml, write_text
from gkd.report.outputs import json_text, markdown
from gkd.report.results import pooled_results

HERE = Path(__file__).parent
FIRST = (1, 2, 5, 10)
MOST = 25  # epochs that are all kept


def main(name: str, runs: Sequence[Path], results: Path = HERE) -> None:
    """Write the folder of that name.

    Args:
        name: of the folder.
        runs: folders of one run, or of several that are one.
        results: the folder to write it in.
    """
    found = pooled_results(runs)
    if len(found) != 1:
        raise SystemExit(f"these are {len(found)} runs, not one: they differ by more than seeds")
    places = paths_of(runs)
    content = json.loads(json_text(found))
    for network in content["networks"]:
        network["history"] = thinned(network["history"])
    texts = {
        "recipe.toml": found[0].recipe,
        "table.md": markdown(found),
        "results.json": json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n",
    }
    for file, text in texts.items():
        for path, word in places.items():
            text = text.replace(path, word)
        write_text(results / name / file, text)


def thinned(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return some epochs of a long history, all of a short one."""
    if len(history) <= MOST:
        return history
    every = len(history) // 20
    return [row for row in history if row["epoch"] in FIRST or row["epoch"] % every == 0]


def paths_of(runs: Sequence[Path]) -> dict[str, str]:
    """Return the paths of this machine in the results of runs, and what to call them."""
    recipes = [parse_toml((run / "recipe.toml").read_text(encoding="utf-8")) for run in runs]
    datasets = [recipe.get("dataset", {}) for recipe in recipes]
    data = {dataset.get("root") for dataset in datasets}
    data |= {str(Path(dataset.get("file", "")).parent) for dataset in datasets}
    data -= {None, ".", "DATA"}
    folders = {f"{run.resolve().parent}/" for run in runs}
    return {**dict.fromkeys(sorted(data), "DATA"), **dict.fromkeys(sorted(folders), "")}


if __name__ == "__main__":
    main(sys.argv[1], [Path(argument) for argument in sys.argv[2:]])
