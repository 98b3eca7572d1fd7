"""What ``gkd taps`` prints: everything that a term of a recipe can tap."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import torch

from gkd.commands.listing import print_json, print_table
from gkd.distillation.taps import taps
from gkd.hosting.host import create_host
from gkd.recipe.file import read_recipe
from gkd.training.experiment import Experiment


def show_taps(recipe: str, settings: Sequence[str], *, as_json: bool) -> None:
    """Print the taps of a recipe's teacher and student, found with its own data.

    Raises:
        GkdError: the recipe or the data is wrong.
    """
    rows = tap_rows(Experiment(read_recipe(recipe, settings), create_host()))
    if as_json:
        print_json(rows)
        return
    columns = {"Network": "network", "Tap": "path", "Type": "type", "Output": "shape"}
    shown = [row | {"shape": " x ".join(map(str, row["shape"]))} for row in rows]
    print_table(
        columns | {"Parameters": "parameters"},
        shown,
    )


def tap_rows(experiment: Experiment) -> list[dict[str, Any]]:
    """Taps of the teacher, if there is one, then of the student."""
    networks = {"student": experiment.student(experiment.recipe.seeds[0])}
    if experiment.recipe.teacher is not None:
        networks = {"teacher": experiment.teacher(), **networks}
    batch = next(experiment.batches(torch.device("cpu")))
    return [
        {"network": name, **asdict(info), "shape": list(info.shape)}
        for name, network in networks.items()
        for info in taps(network, batch, experiment.dataset.inputs)
    ]
