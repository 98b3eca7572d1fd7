"""What ``gkd taps`` prints: everything that a term of a recipe can tap."""

from collections.abc import Sequence
from dataclasses import asdict

from gkd.recipe.file import read_recipe


def show_taps(recipe: str, settings: Sequence[str], *, as_json: bool) -> None:
    """Print the taps of a recipe's teacher, if there is one, and student, found with its own data.

    Raises:
        GkdError: the recipe or the data is wrong.
    """
    file = read_recipe(recipe, settings)
    # Torch and Lightning take seconds to load: a mistake in the recipe is reported before.
    from gkd.hosting.host import create_host

    host = create_host().with_code(file.code)
    # What can be tapped does not depend on the losses, which may still have to be written.
    file.check_components(host, ("dataset", "model"))
    file = file.with_absolute_paths(host)

    import torch

    from gkd.commands.listing import print_json
    from gkd.commands.tables import print_table
    from gkd.distillation.inputs import inputs_or
    from gkd.distillation.taps import taps
    from gkd.training.experiment import Experiment

    experiment = Experiment(file, host)
    networks = {"student": experiment.student(file.recipe.seeds[0])}
    if file.recipe.teacher is not None:
        networks = {"teacher": experiment.teacher(), **networks}
    batch = next(experiment.batches(file.recipe.training, torch.device("cpu")))
    rows = [
        {"network": name, **asdict(info), "shape": list(info.shape)}
        for name, network in networks.items()
        for info in taps(network, batch, inputs_or(network, experiment.dataset.inputs))
    ]
    if as_json:
        print_json(rows)
        return
    columns = {"Network": "network", "Tap": "path", "Type": "type", "Output": "shape"}
    shown = [row | {"shape": " x ".join(map(str, row["shape"]))} for row in rows]
    print_table(columns | {"Parameters": "parameters"}, shown)
