"""A recipe that trains on sampled neighbourhoods of one graph."""

import io
import json
import shutil
from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from torch import nn

from gkd import AbstractDataset, Sample, hookimpl
from gkd.errors import RecipeError
from gkd.training.devices import Devices
from gkd.training.dry_run import dry_run
from gkd.training.experiment import Experiment

NODES = 30


class OneGraph(AbstractDataset):
    """Thirty nodes on a ring with chords: ten each to train, to select and to test on."""

    task = "single-label"
    num_features = 4
    num_classes = 3
    inputs = ("x", "edge_index")
    rows = {"train": "train_mask", "validation": "val_mask", "test": "test_mask"}  # noqa: RUF012

    def __init__(self, graphs: int = 1, augmented: bool = False) -> None:
        random = torch.Generator().manual_seed(0)
        self.augmented = augmented
        y = torch.arange(NODES) % 3
        x = torch.eye(3, 4)[y] + torch.randn(NODES, 4, generator=random)
        nodes = torch.arange(NODES)
        edges = torch.cat([torch.stack([nodes, (nodes + step) % NODES]) for step in (1, 7, 3)], 1)
        part = nodes // 10
        masks = {name: part == index for index, name in enumerate(self.rows.values())}
        self.graph = Sample(id="graph", x=x, y=y, edge_index=edges, **masks)
        self.train = self.validation = self.test = [self.graph] * graphs

    train = validation = test = ()


class Mean(nn.Module):
    """Layers that add the mean of the neighbours; the first also counts runs on the whole graph."""

    runs: list[int] = []  # noqa: RUF012

    def __init__(self, in_channels: int, out_channels: int, layers: int = 2) -> None:
        super().__init__()
        widths = [in_channels, *[6] * (layers - 1), out_channels]
        self.layers = nn.ModuleList(nn.Linear(2 * a, b) for a, b in pairwise(widths))

    def forward(self, x: torch.Tensor, edge_index: torch.Tensor) -> torch.Tensor:
        if not self.training:
            self.runs.append(len(x))
        source, target = edge_index
        for layer in self.layers:
            count = torch.bincount(target, minlength=len(x)).clamp(min=1)[:, None]
            mean = torch.zeros_like(x).index_add(0, target, x[source]) / count
            x = layer(torch.cat([x, mean], 1)).tanh()
        return x


class Plugin:
    @hookimpl
    def gkd_datasets(self):
        return {"one-graph": OneGraph}

    @hookimpl
    def gkd_models(self):
        return {"mean": Mean}

    @hookimpl
    def gkd_losses(self):
        return {"kd": "gkd_classic.kd:KD", "lsp": "gkd_lsp.lsp:LSP"}

    @hookimpl
    def gkd_kernels(self):
        return {"rbf": "gkd_lsp.kernels:RBF"}

    @hookimpl
    def gkd_weighers(self):
        return {
            name: f"gkd_weighers.{name}:{name.title()}"
            for name in ("degree", "homophily", "entropy")
        }


@pytest.fixture(autouse=True)
def components(host) -> None:
    host.register(Plugin())


SAMPLED = (
    'dataset.name="one-graph"',
    'teacher.name="mean"',
    "teacher.params={}",
    'student.name="mean"',
    "student.params={}",
    'methods.mapped.terms=[{loss="kd"}, {loss="lsp", student="layers.0", teacher="layers.0"}]',
    "teacher.training.batch_size=4",
    "training.batch_size=4",
    'training.sampling={neighbours=[2, "all"]}',
    "teacher.training.sampling={neighbours=[2, 2]}",
    "training.epochs=2",
    "seeds=[0]",
)


@pytest.fixture
def told(opened) -> Callable:
    """Function that opens a run, trains it, and returns it with what it printed."""

    def train(*settings: str, **options: object):
        written = io.StringIO()
        run = opened(*SAMPLED, *settings, console=Console(file=written, width=300), **options)
        run.train()
        return run, written.getvalue()

    return train


def students(run) -> dict[str, torch.Tensor]:
    return {
        f"{path.relative_to(run.directory.folder)}/{name}": tensor
        for path in sorted(run.directory.folder.rglob("weights.safetensors"))
        for name, tensor in load_file(path).items()
    }


def test_a_run_steps_over_the_seeds_and_scores_the_whole_graph(told, plugin) -> None:
    run, said = told()
    # Ten nodes train, in batches of 4: three steps in each of two epochs, of three networks.
    assert len(plugin.events) == 3 * 2 * 3
    summaries = [
        json.loads(path.read_text()) for path in run.directory.folder.rglob("summary.json")
    ]
    assert len(summaries) == 3
    assert all("accuracy" in summary["test"] for summary in summaries)
    assert "teacher cache: 1 of 1 samples" in said


def test_seeds_may_be_all_nodes(told, plugin) -> None:
    told('training.sampling={neighbours=[1, 1], rows="all"}', "methods.mapped.terms=[]")
    assert len(plugin.events) == 3 * 2 + 2 * 2 * 8


def test_a_resumed_run_draws_what_it_would_have_drawn(told, plugin, opened) -> None:
    whole, _ = told(out="whole")
    plugin.events.clear()
    plugin.interrupt_at = 6 + 4  # in the second epoch of the first student
    with pytest.raises(KeyboardInterrupt):
        told(out="cut")
    plugin.interrupt_at = None
    resumed = opened(*SAMPLED, out="cut", resume=True)
    resumed.train()
    ours, theirs = students(whole), students(resumed)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_workers_change_nothing(told) -> None:
    ours, theirs = (
        students(told(f"training.workers={workers}", out=f"run{workers}")[0]) for workers in (0, 1)
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_the_teachers_outputs_are_left_for_other_runs(told, tmp_path, plugin) -> None:
    folder = tmp_path / "kept"
    setting = f'teacher.cache_folder="{folder}"'
    first, said = told(setting, "teacher.cache_half=true", out="one")
    assert "in files" in said
    files = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert len(files) == 2  # logits, the tapped features
    weights = next(first.directory.folder.glob("teacher/weights.safetensors"))
    again = (f'teacher.weights="{weights}"', setting, "teacher.cache_half=true", "seeds=[3]")
    told(*again, out="two")
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == files


def test_without_room_the_teacher_sees_what_is_sampled_and_it_is_said(
    told, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=0))
    with pytest.warns(UserWarning, match="no room on the disk"):
        _, said = told(f'teacher.cache_folder="{tmp_path / "kept"}"')
    assert "teacher runs in every step: neither memory nor disk has room" in said
    assert "it sees the sampled neighbourhoods alone" in said


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("training.sampling={neighbours=[]}", r"training\.sampling\.neighbours"),
        ("training.sampling={neighbours=[0]}", r"training\.sampling\.neighbours\.0"),
        ('training.sampling={neighbours=["some"]}', r"training\.sampling\.neighbours\.0"),
        ("training.sampling={fan_outs=[1]}", r"training\.sampling.*neighbours"),
        ('training.sampling={neighbours=[1], rows="train_mas"}', "no 'train_mas'; did you mean"),
        (f'teacher.cache_folder="{__file__}"', r"teacher\.cache: folder: .*is not a folder"),
        ("dataset.graphs=2", "the dataset has 2 training graphs"),
        ("dataset.augmented=true", "graphs that differ from epoch to epoch"),
    ],
)
def test_mistakes_are_said_before_anything_is_trained(
    opened, plugin, setting: str, message: str
) -> None:
    with pytest.raises(RecipeError, match=message):
        opened(*SAMPLED, setting).train()
    assert not plugin.events


def test_a_batch_size_must_be_said(opened, recipe_path) -> None:
    recipe_path.write_text(recipe_path.read_text().replace("batch_size = 2\n", ""))
    settings = [one for one in SAMPLED if "batch_size" not in one]
    with pytest.raises(RecipeError, match="sampling needs a batch_size"):
        opened(*settings)


def test_several_devices_are_refused(opened) -> None:
    with pytest.raises(RecipeError, match="2 devices cannot share the neighbourhoods"):
        opened(*SAMPLED, devices=Devices("cpu", 2)).train()


def notes(host, recipe_path, *settings: str) -> list[str]:
    from gkd.recipe.file import read_recipe

    file = read_recipe(recipe_path, [*SAMPLED, *settings])
    with host.activated():
        return dry_run(Experiment(file, host), Devices("cpu"))


def test_networks_that_look_further_than_is_sampled_are_named(host, recipe_path) -> None:
    assert not notes(host, recipe_path)
    found = notes(host, recipe_path, "student.params.layers=3", "teacher.params.layers=3")
    assert any(n.startswith("teacher: logits of the student at the seeds") for n in found)
    assert any(n.startswith("baseline: logits of the student at the seeds") for n in found)
    assert all("2 hops of sampling.neighbours" in note for note in found)


def test_a_loss_along_edges_needs_a_hop_more(host, recipe_path) -> None:
    terms = 'methods.mapped.terms=[{loss="lsp", student="layers.1", teacher="layers.1"}]'
    (note,) = notes(host, recipe_path, terms)
    assert note.startswith("mapped: tap 'layers.1' of the student at the seeds and their neighbo")


@pytest.mark.parametrize("weigher", ["degree", "homophily"])
def test_weighers_that_count_sampled_edges_are_named(host, recipe_path, weigher: str) -> None:
    terms = f'methods.mapped.terms=[{{loss="kd", weigher="{weigher}"}}]'
    (note,) = notes(host, recipe_path, terms)
    assert note == (
        "mapped: the weigher of the term 'kd' counts the edges of a step, which are not all that "
        'its seeds have; "all" as the first of sampling.neighbours takes these'
    )
    whole = 'training.sampling={neighbours=["all", 2]}'
    assert not notes(host, recipe_path, terms, whole)
    assert not notes(host, recipe_path, terms.replace(weigher, "entropy"))


def test_a_teacher_without_cache_is_looked_at_too(host, recipe_path) -> None:
    settings = ("teacher.params.layers=3", "teacher.cache=false",
                'teacher.training.sampling={neighbours=[1, 1, 1]}')  # fmt: skip
    (note,) = notes(host, recipe_path, *settings)
    assert note.startswith("mapped: logits of the teacher at the seeds")
    assert not notes(host, recipe_path, settings[0], settings[2])
