"""``gkd evaluate``, ``gkd predict`` and ``gkd export``: what a trained network is used for."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gkd.commands.listing import print_json
from gkd.commands.tables import print_table
from gkd.deployment.export import SUFFIXES, Format, export_network
from gkd.deployment.prediction import predict, write_predictions
from gkd.deployment.student import find_weights
from gkd.errors import ParameterError, RecipeError, suggestion


def evaluate_run(
    run: Path, settings: Sequence[str], split: str, batch_size: int, *, as_json: bool
) -> None:
    """Score every finished network of a run once more, and print a table.

    Args:
        run: its folder.
        settings: over those of the run's recipe: ``dataset.root=…`` where its data are now.
        split: ``"test"``, ``"validation"`` or ``"train"``.
        batch_size: samples in each forward pass.
        as_json: print JSON instead.

    Raises:
        GkdError: the folder is no run's, its data are gone, or a file is damaged.
    """
    from gkd.deployment.evaluation import evaluate
    from gkd.evaluation.formats import metric_heading, metric_value
    from gkd.evaluation.splits import SPLITS

    if split not in SPLITS:
        raise ParameterError(f"--split {split}: {suggestion(split, SPLITS)}")
    scored = evaluate(run, settings, split, batch_size)
    if as_json:
        print_json([{"method": one.method, "seed": one.seed, **one.scores} for one in scored])
        return
    metrics = {metric.name: metric for one in scored for metric in one.metrics}
    rows: list[dict[str, Any]] = [
        {"method": one.method, "seed": one.seed}
        | {
            name: metric_value(metric, one.scores[name]) if name in one.scores else ""
            for name, metric in metrics.items()
        }
        for one in scored
    ]
    headings = {metric_heading(metric): name for name, metric in metrics.items()}
    print_table({"Method": "method", "Seed": "seed", **headings}, rows)


def predict_by_run(
    source: Path,
    data: Path,
    out: Path,
    method: str | None,
    seed: int | None,
    code: Path | None,
) -> None:
    """Write what a network says of the sample in a file.

    Raises:
        GkdError: a file cannot be read or written, or is of another form.
    """
    weights = find_weights(source, method, seed)
    predictions = predict(weights, data, code)
    write_predictions(out, predictions)
    rows = len(predictions["outputs"])
    print(f"{out}: {', '.join(predictions)} of {rows} {'row' if rows == 1 else 'rows'}")
    print(f"by {weights}")


def export_from_run(
    source: Path,
    form: str | None,
    out: Path | None,
    method: str | None,
    seed: int | None,
    code: Path | None,
) -> None:
    """Write a network as a program that runs elsewhere.

    Args:
        source: a run's folder, or a network's weights.
        form: of the program; by default that which the file's name says.
        out: the file; by default ``student`` with the form's suffix.
        method: whose student.
        seed: of its training.
        code: folder of the model's module.

    Raises:
        GkdError: it cannot be exported, or the file cannot be written.
    """
    said = {suffix: name for name, suffix in SUFFIXES.items()}.get(out.suffix if out else "")
    if out is not None and form is None and said is None:
        known = ", ".join(f"{suffix} ({name})" for name, suffix in SUFFIXES.items())
        raise ParameterError(
            f"{out} does not say what to write: end it in {known}, or say --format"
        )
    form = form or said or next(iter(SUFFIXES))
    if form not in SUFFIXES:
        raise ParameterError(f"--format {form}: {suggestion(form, SUFFIXES)}")
    if said not in (None, form):
        raise ParameterError(f"{out} is called as {said} is, and --format says {form}")
    weights = find_weights(source, method, seed)
    path = out or Path(f"student{SUFFIXES[form]}")
    if path.exists():
        raise RecipeError(f"{path}: already there; name another file by --out")
    chosen: Format = form  # type: ignore[assignment]  # one of its suffixes' keys
    exported = export_network(weights, chosen, path, code)
    print(f"{exported.path}: {form}, of {weights}")
    if exported.largest_error is not None:
        print(
            f"called with {', '.join(exported.inputs)}; equals the network to "
            f"{exported.largest_error:.0e} on 20 other numbers of nodes and edges"
        )
