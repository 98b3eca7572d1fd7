"""What a reader must know beside the table: gaps, broken numbers, protocol."""

import math

from gkd.report.formats import metric_name, percent, points
from gkd.report.results import Results
from gkd.report.rows import Row


def verdicts(run: Results) -> list[str]:
    """One sentence per method, with the difference on every seed where there are several."""
    sentences = []
    for one in run.comparisons:
        each = ", ".join(f"{seed}: {points(value)}" for seed, value in one.differences.items())
        detail = f" Per seed: {each}." if len(one.differences) > 1 else ""
        sentences.append(one.verdict + detail)
    return sentences


def gaps(run: Results) -> list[str]:
    """Sentences on what is missing, unpaired or not a number."""
    found = []
    if run.missing:
        found.append(f"This run is not finished; missing: {', '.join(run.missing)}.")
    for one in run.comparisons:
        if one.unpaired and one.differences:
            seeds = ", ".join(map(str, one.unpaired))
            found.append(
                f"{one.method}: left out of the difference, as only it or the baseline was "
                f"trained with them: seeds {seeds}."
            )
    return found + [note for row in run.rows for note in _broken(row)]


def protocol(run: Results) -> list[tuple[str, str]]:
    """Label and text of everything that says how the numbers came about."""
    entries = list(run.protocol.items())
    if run.hardware:
        entries.append(("hardware", flat(run.hardware)))
    if run.versions:
        entries.append(("versions", flat(run.versions)))
    return entries


def flat(value: object) -> str:
    """Write a JSON value in one line.

    >>> flat({"cpu": "x", "cores": 2})
    'cpu x, cores 2'
    """
    if isinstance(value, dict):
        return ", ".join(
            f"{key} {flat(inner)}" for key, inner in value.items() if inner is not None
        )
    if isinstance(value, list):
        return ", ".join(flat(inner) for inner in value)
    return str(value)


def _broken(row: Row) -> list[str]:
    notes = []
    for name, statistics in row.test.items():
        broken = [str(seed) for seed, one in statistics.values.items() if not math.isfinite(one)]
        whole = [
            f"{percent(one)} (seed {seed})"
            for seed, one in statistics.values.items()
            if math.isfinite(one)
        ]
        if broken:
            others = f" The others: {', '.join(whole)}." if whole else ""
            notes.append(
                f"{row.method}: test {metric_name(name)} is not a number for seed "
                f"{', '.join(broken)}, so there is no mean.{others}"
            )
    return notes
