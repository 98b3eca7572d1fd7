"""Rank the methods of a run by their test metric, with intervals.

    python results/zoo/rank.py RUN NAME

RUN is the folder of ``gkd run FOLDER/best.toml``, whose recipe ``gkd sweep`` found. Beside each
method stand its differences from the baseline and from ``kd``, over paired seeds, each with the
95 % interval that Holm's procedure corrects for the number of methods, and the values that the
sweep found for it. Writes ``NAME/ranking.md`` beside this file, which ``docs/generate/zoo.py``
takes into the page of the zoo, and copies the recipe and the table there.
"""

import json
import shutil
import sys
from collections.abc import Mapping
from itertools import count
from pathlib import Path

from gkd.evaluation.formats import difference, metric_heading, metric_value, significant
from gkd.evaluation.metric import Metric
from gkd.files import parse_toml
from gkd.recipe.model import BASELINE
from gkd.report.comparison import Comparison, Pairs, compare_pairs
from gkd.report.outputs import markdown_table
from gkd.report.table import Table

HERE = Path(__file__).parent
RIVALS = (BASELINE, "kd")
NOTHING = "–"


def ranking(run: Path) -> Table:
    """Return the methods of a run, the best first, and where its teacher and baseline stand."""
    results = json.loads((run / "results.json").read_text(encoding="utf-8"))
    recipe = parse_toml((run / "recipe.toml").read_text(encoding="utf-8"))
    metrics = {one["name"]: Metric(**one) for one in results["metrics"]}
    metric = metrics[results["primary_metric"]]
    rows = {row["method"]: row["test"][metric.name] for row in results["rows"]}
    values = {
        name: {int(seed): value for seed, value in row["values"].items()}
        for name, row in rows.items()
    }
    students = {name: found for name, found in values.items() if name != "teacher"}
    best_first = not metric.lower_is_better
    compared = {rival: _against(rival, students, metric) for rival in RIVALS}
    header = ["rank", "method", f"test {metric_heading(metric)}"]
    header += [f"Δ to {rival}" for rival in RIVALS] + ["learning rate", "weight"]
    methods = {method["name"]: method for method in recipe["methods"]}
    body, ranks = [], count(1)
    for name in sorted(rows, key=lambda name: rows[name]["mean"], reverse=best_first):
        row = rows[name]
        score = metric_value(metric, row["mean"])
        if row["std"] is not None:  # of one teacher for all seeds, there is none
            score += f" ± {metric_value(metric, row['std'])}"
        method = methods.get(name, {})
        rate = {**recipe["training"], **method.get("training", {})}["learning_rate"]
        terms = method.get("terms", [])
        body.append(
            [
                str(next(ranks)) if terms else NOTHING,
                name,
                score,
                *(_in_words(compared[rival].get(name), metric) for rival in RIVALS),
                significant(rate) if method else NOTHING,
                significant(terms[0]["weight"]) if terms else NOTHING,
            ]
        )
    return Table(header, body, labels=2)


def networks(run: Path) -> str:
    """Say what teaches and what learns."""
    recipe = parse_toml((run / "recipe.toml").read_text(encoding="utf-8"))
    teacher, student = recipe["teacher"]["name"], recipe["student"]["name"]
    return f"The teacher is `{teacher}`, the student `{student}`."


def _against(
    rival: str, students: Mapping[str, Mapping[int, float]], metric: Metric
) -> dict[str, Comparison]:
    """Compare all distilled students with one, whose false claims are bounded together."""
    pairs = [
        Pairs.of(name, values, students[rival], metric)
        for name, values in students.items()
        if name not in (rival, BASELINE)
    ]
    return {one.method: one for one in compare_pairs(pairs, metric)}


def _in_words(one: Comparison | None, metric: Metric) -> str:
    if one is None or one.mean is None:
        return NOTHING
    words = difference(metric, one.mean)
    if one.interval is None:
        return words
    low, high = (difference(metric, end) for end in one.interval)
    return f"{words} ({low} to {high}{'' if one.outcome == 'open' else f', {one.outcome}'})"


def main(run: Path, name: str) -> None:
    """Write the folder."""
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    text = f"{networks(run)}\n\n{markdown_table(ranking(run))}\n"
    (folder / "ranking.md").write_text(text, encoding="utf-8")
    for file in ("recipe.toml", "table.md"):
        shutil.copy(run / file, folder / file)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
