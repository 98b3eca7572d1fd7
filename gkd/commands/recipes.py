"""What ``gkd recipes`` does: list those that come with gkd, print one, check one."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from gkd.errors import PluginError
from gkd.recipe.file import RecipeFile, read_recipe
from gkd.recipe.model import MethodRecipe, StudentRecipe, TeacherRecipe
from gkd.recipe.shipped import shipped_recipe, shipped_recipes

if TYPE_CHECKING:
    from torch import nn

    from gkd.hosting.host import Host
    from gkd.training.experiment import Experiment


def list_recipes(*, as_json: bool) -> None:
    """Print the shipped recipes: name, title, and what has to be set for one to run."""
    from gkd.commands.listing import print_json, quietly
    from gkd.commands.tables import print_table
    from gkd.hosting.host import current_host

    host = quietly(current_host)
    rows = quietly(lambda: [_row(read_recipe(name), host) for name in shipped_recipes()])
    if as_json:
        print_json(rows)
        return
    shown = [row | {"needs": ", ".join(row["needs"]) or "nothing"} for row in rows]
    print_table({"Name": "name", "Needs": "needs", "What it trains": "title"}, shown)


def _row(file: RecipeFile, host: "Host") -> dict[str, Any]:
    """One recipe as JSON shows it."""
    dataset = file.recipe.dataset
    try:
        signature = host.signature("dataset", dataset.name)
        required = [
            one.name
            for one in signature.parameters.values()
            if one.default is one.empty and one.kind is not one.VAR_KEYWORD
        ]
    except PluginError:  # what is wrong with the data set, `gkd doctor` says
        required = []
    given = dict.fromkeys(name for method in file.recipe.methods for name in method.teachers)
    return {
        "name": file.name,
        "title": file.recipe.title,
        "dataset": dataset.name,
        "needs": [
            *(f"dataset.{name}" for name in required if name not in dataset.params),
            *(f"weights of {name}" for name in given),
        ],
    }


def show_recipe(name: str) -> None:
    """Print a shipped recipe as it is written, comments and all.

    Raises:
        UnknownNameError: there is none of this name.
    """
    print(shipped_recipe(name).read_text(encoding="utf-8"), end="")


def check_recipe(recipe: str, settings: Sequence[str], device: str) -> None:
    """Try all that ``gkd run`` tries before it trains, and print what was found.

    Nothing is downloaded: data that are not there are an error that says how to get them.

    Raises:
        GkdError: something is wrong; the message says where.
    """
    file = read_recipe(recipe, settings)
    # Torch and Lightning take seconds to load: a mistake in the recipe is reported before.
    from gkd.hosting.host import create_host

    host = create_host().with_code(file.code)
    file.check_components(host)

    from gkd.commands.run_recipe import seeds_note
    from gkd.data.downloads import without_downloads
    from gkd.training.devices import Devices
    from gkd.training.dry_run import dry_run
    from gkd.training.experiment import Experiment

    file = file.with_absolute_paths(host)
    with host.activated(), without_downloads():
        experiment = Experiment(file, host)
        notes = dry_run(experiment, Devices.of(device))
        print(f"{recipe} can be run: its networks took their first batches")
        for line in _findings(experiment):
            print(line)
    if file.recipe.max_seeds is not None:
        print(f"  seeds     {seeds_note(file.recipe)}")
    for note in notes:
        print(f"warning: {note}")


def _findings(experiment: "Experiment") -> Iterator[str]:
    """Yield a line about each part of a recipe that was tried."""
    from gkd.evaluation.splits import SPLITS
    from gkd.recipe.data_words import data_words

    recipe, dataset, seeds = experiment.recipe, experiment.dataset, experiment.recipe.seeds
    sizes = ", ".join(f"{len(getattr(dataset, split))} {split}" for split in SPLITS)
    yield f"  dataset   {data_words(recipe.dataset.model_dump())}"
    yield f"  samples   {sizes}"
    task = dataset.task.get("name") if isinstance(dataset.task, Mapping) else dataset.task
    task = task if isinstance(task, str) else type(task).__name__
    yield f"  task      {task}: {dataset.num_features} features in, {dataset.num_classes} out"
    if "root" in recipe.dataset.params:
        yield f"  root      {recipe.dataset.params['root']}"
    teachers = 0
    if recipe.teacher is not None:
        own = experiment.for_seed(seeds[0]) is not experiment
        teachers = len(seeds) if own else 1
        training = recipe.teacher.training
        weights = recipe.teacher.weights
        how = f"{training.epochs} epochs" if weights is None and training else f"from {weights}"
        yield f"  teacher   {_network(recipe.teacher, experiment.teacher())}, {how}"
    student = _network(recipe.student, experiment.student(seeds[0]))
    yield f"  student   {student}, {recipe.training.epochs} epochs"
    named = (_method(one, recipe.training_of(one).epochs) for one in recipe.methods)
    yield f"  methods   {', '.join(named)}"
    methods = len(recipe.methods)
    yield (
        f"  networks  {teachers + methods * len(seeds)}: teachers {teachers}, "
        f"students {methods * len(seeds)} (methods {methods}, seeds {len(seeds)})"
    )


def _network(recipe: TeacherRecipe | StudentRecipe, network: "nn.Module") -> str:
    from gkd.evaluation.cost import parameter_count

    return f"{recipe.name} of {parameter_count(network):,} parameters"


def _method(method: MethodRecipe, epochs: int) -> str:
    losses = " + ".join(term.loss + _window(term.weight, epochs) for term in method.terms)
    return method.name if losses in ("", method.name) else f"{method.name} ({losses})"


def _window(weight: Any, epochs: int) -> str:
    """Say in which epochs a term acts, counted as a run counts them; nothing where in all."""
    from gkd.distillation.schedule import Window, weight_from

    schedule = weight_from(weight)
    if not isinstance(schedule, Window):
        return ""
    first, last = schedule.from_epoch + 1, min(schedule.until_epoch or epochs, epochs)
    if first > last:
        return " in no epoch"
    return "" if (first, last) == (1, epochs) else f" in epochs {first} to {last}"
