# ruff: noqa: E501  inline tables
"""Readers of recipes: files, settings, and what is made of them before anything is trained."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

from mutations import RECIPE, TEXT
from reading_law import Reader, TooSlow

from gkd.recipe.file import read_recipe, resolved_toml

_NETWORKS = """
[training]
epochs = 2
batch_size = 2
optimiser = "sgd"
learning_rate = 0.1
momentum = 0.5

[[methods]]
name = "kd"
terms = [{ loss = "kd", weight = { start = 0.0, end = 1.0, epochs = 2 }, params = { temperature = 2.0 } }]
"""

RECIPES = {
    "shapes": """\
title = "shapes"
seeds = [0, 1]

[dataset]
name = "shapes"
points = 16
train_per_class = 2
validation_per_class = 1
test_per_class = 1
stretch = 0.2
classes = ["torus", "helix"]

[teacher]
name = "dgcnn"
params = { channels = [4, 4], embedding = 8, head = [4], k = 4 }

[teacher.training]
epochs = 3
batch_size = 2

[student]
name = "dgcnn"
params = { channels = [4, 4], embedding = 8, head = [4], k = 3, dropout = 0.0 }

[[methods]]
name = "lsp"
terms = [
    { loss = "lsp", weight = 3.0, student = "layers.1", teacher = "layers.1", student_graph = "tap:graphs.1", teacher_graph = "tap:graphs.1", params = { kernel = "rbf", sigma = "median" } },
]
training = { weight_decay = 0.001 }

[sweep]
trials = 4
seeds = [100, 101]

[sweep.space]
"training.learning_rate" = "1e-4..0.1 log"
"methods.lsp.terms.0.weight" = [1.0, { gradient_share = 0.3 }, { learned = "uncertainty" }]
methods.lsp.terms.0.student = ["layers.0", "layers.1"]
"training.batch_size" = "1..4 step 1"
""",
    "parts": """\
[dataset]
name = "parts"
points = 16
train_objects = 2
validation_objects = 1
test_objects = 1
most = 2
noise = 0.01

[teacher]
name = "dgcnn"
params = { channels = [4, 4], embedding = 8, head = [4], k = 4, per_point = true }

[teacher.training]
epochs = 3
batch_size = 2

[student]
name = "dgcnn"
params = { channels = [4], embedding = 8, head = [], k = 3, per_point = true }
""",
    "molecules": """\
[dataset]
name = "molecules"
train_graphs = 3
validation_graphs = 1
test_graphs = 1
smallest = 4
largest = 6
types = 3
rings = 1
properties = 1

[teacher]
name = "gin"
params = { hidden_channels = 8, num_layers = 2, norm = "batch", pool = "sum" }

[teacher.training]
epochs = 3

[student]
name = "gcn"
params = { hidden_channels = 4, num_layers = 2, pool = "mean" }

[[methods]]
name = "fitnet"
terms = [{ loss = "fitnet", weight = 0.1, student = "layers.0", teacher = "layers.1" }]
""",
    "communities": """\
[dataset]
name = "communities"
train_graphs = 2
validation_graphs = 1
test_graphs = 1
nodes = 20
features = 6
classes = 4
communities = 3
degree = 4.0

[teacher]
name = "gat"
params = { hidden_channels = [4], heads = [2, 2], dropout = 0.1 }

[teacher.training]
epochs = 3

[student]
name = "sage"
params = { hidden_channels = 4, num_layers = 2 }

[[methods]]
name = "more"
student = { name = "mlp", params = { hidden_channels = 4, num_layers = 2 } }
terms = [
    { loss = "at", student = "layers.0", teacher = "layers.0" },
    { loss = "nst", student = "layers.0", teacher = "layers.0" },
]
""",
}


def _write(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / "mine.toml").write_text(RECIPES[name] + _NETWORKS)


def _read(folder: Path) -> object:
    recipe = read_recipe(folder / "mine.toml").recipe
    (folder / "copy.toml").write_text(resolved_toml(recipe))
    assert read_recipe(folder / "copy.toml").recipe == recipe
    return recipe.model_dump()


def _read_setting(folder: Path) -> object:
    # As Python decodes an argument of a command.
    text = (folder / "setting").read_bytes().decode("utf-8", errors="surrogateescape")
    return read_recipe(folder / "mine.toml", [text]).recipe.model_dump()


@cache
def _host():  # type: ignore[no-untyped-def]
    from gkd.hosting.host import create_host

    return create_host()


_MUCH = 1000  # points or samples


def _try(folder: Path) -> object:
    """Do what ``gkd run`` and ``gkd sweep`` do before they train: a batch goes through all."""
    from gkd.sweep.space import spaces
    from gkd.training.devices import Devices
    from gkd.training.dry_run import dry_run
    from gkd.training.experiment import Experiment

    file = read_recipe(folder / "mine.toml")
    host = _host()
    file.check_components(host)
    if file.recipe.sweep is not None:
        spaces(file, host)
    try:
        with host.activated():
            experiment = Experiment(file, host)
            dry_run(experiment, Devices.of("cpu", 1))
    except TooSlow:
        if not _asks_for_much(file.recipe.dataset.model_dump()):
            raise
    return None


def _asks_for_much(value: object) -> bool:
    """Whether data are generated in such numbers that they may take long."""
    parts = value.values() if isinstance(value, dict) else ()
    much = isinstance(value, int | float) and value > _MUCH
    return much or any(map(_asks_for_much, parts))


_SETTINGS = {
    "number": "dataset.points=16",
    "list": "student.params.channels=[4, 8]",
    "table": 'methods.0.terms.0={loss="kd",weight=2.0,params={temperature=2.0}}',
}


def _write_setting(text: str) -> Callable[[Path], object]:
    def write(folder: Path) -> None:
        _write("shapes")(folder)
        (folder / "setting").write_text(text)

    return write


READERS = [
    Reader("recipe", _write("shapes"), "mine.toml", TEXT, _read),
    *(
        Reader(
            f"setting-{name}",
            _write_setting(text),
            "setting",
            TEXT,
            _read_setting,
            names=("--set", "mine.toml"),
        )
        for name, text in _SETTINGS.items()
    ),
    *(Reader(f"run-{name}", _write(name), "mine.toml", RECIPE, _try) for name in RECIPES),
]
