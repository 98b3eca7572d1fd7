"""How alike students and their teacher see the same objects, over the seeds."""

from statistics import fmean

from gkd.recipe.model import BASELINE
from gkd.report.results import Results
from gkd.report.significance import confidence_interval, correlation_interval
from gkd.report.table import NOTHING, Table

STRUCTURE = (
    "Rank correlation ρ of the distances in a student's feature space with those in its teacher's, "
    "the mean over the objects; 95 % intervals cover the choice of seeds, that of a difference is "
    "paired by seed, and none is corrected for the number of rows"
)


def structure_table(run: Results) -> Table | None:
    """One row per method and epoch; None where the recipe has nothing looked at."""
    if not run.rank_correlations:
        return None
    baseline = run.rank_correlations.get(BASELINE, {})
    body = []
    for method, epochs in run.rank_correlations.items():
        for epoch, by_seed in sorted(epochs.items()):
            values = list(by_seed.values())
            there = baseline.get(epoch, {})
            paired = [by_seed[seed] - there[seed] for seed in by_seed if seed in there]
            compared = method != BASELINE and bool(paired)
            body.append(
                [
                    method,
                    str(epoch),
                    str(len(values)),
                    _signed(fmean(values), plus=""),
                    _interval(correlation_interval(values), plus=""),
                    _signed(fmean(paired)) if compared else NOTHING,
                    _interval(confidence_interval(paired)) if compared else NOTHING,
                ]
            )
    header = ["network", "epoch", "seeds", "ρ", "95 % interval", "Δ to baseline", "its interval"]
    return Table(header, body)


def _interval(ends: tuple[float, float] | None, plus: str = "+") -> str:
    return NOTHING if ends is None else " to ".join(_signed(end, plus) for end in ends)


def _signed(value: float, plus: str = "+") -> str:
    return f"{value:{plus}.3f}".replace("-", "−")
