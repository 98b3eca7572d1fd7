"""Published methods in a recipe: they train, and are resumed exactly, memory and all."""

import pytest
import torch
from test_training_resume import STEPS_PER_EPOCH, TEACHER_STEPS, assert_equal, everything
from tiny_plugin import Blobs, Perceptron, TinyPlugin

import gkd_contrast
import gkd_graph_to_mlp
import gkd_layers
import gkd_logits
import gkd_lsp
import gkd_teachers
from gkd import Sample, hookimpl

METHODS = {
    "dkd": '{ loss = "dkd", weight = 0.5 }',
    "wsld": '{ loss = "wsld" }',
    "fsp": '{ loss = "fsp", student = ["hidden", "norm"], teacher = ["hidden", "norm"] }',
    "reviewkd": '{ loss = "reviewkd", student = ["hidden", "norm"], teacher = ["hidden", "norm"] }',
    "crd": (
        '{ loss = "crd", student = "hidden", teacher = "hidden", weight = 0.1, '
        "params = { width = 4, negatives = 8 } }"
    ),
    "krd": '{ loss = "krd", params = { warmup = 1, bins = 5, momentum = 0.5 } }',
    "mskd": '{ loss = "mskd", student = "hidden", teacher = ["teacher:hidden", "other:norm"] }',
}


class Graphs(Blobs):
    """Blobs whose points are joined in a ring."""

    inputs = ("x",)

    def sample(self, split: str, index: int, epoch: int = 0) -> Sample:
        blob = super().sample(split, index, epoch)
        nodes = torch.arange(len(blob.x))
        return Sample(
            id=blob.id, x=blob.x, y=blob.y, edge_index=torch.stack([nodes, nodes.roll(1)])
        )


class Plugin(TinyPlugin):
    """The tiny networks, on graphs."""

    @hookimpl
    def gkd_datasets(self):
        return {"blobs": Graphs}

    @hookimpl
    def gkd_models(self):
        return {"perceptron": Perceptron}


@pytest.fixture
def plugin() -> TinyPlugin:
    return Plugin()


@pytest.fixture
def host(host):
    for module in (
        gkd_contrast,
        gkd_graph_to_mlp,
        gkd_layers,
        gkd_logits,
        gkd_lsp,
        gkd_teachers,
    ):
        host.register(module)
    return host


@pytest.fixture
def recipe_path(recipe_path):
    text = recipe_path.read_text()
    text = text[: text.index('[[methods]]\nname = "mapped"')].replace("width = 3,", "width = 8,")
    for name, term in METHODS.items():
        text += f'[[methods]]\nname = "{name}"\nterms = [{term}]\n'
        if name == "mskd":
            text += 'peers.other = { name = "perceptron", params = { width = 5 } }\n'
    recipe_path.write_text(text)
    return recipe_path


def test_they_train_and_are_resumed_exactly(opened, plugin) -> None:
    settings = ("seeds=[4]", "training.epochs=3")
    whole = opened(*settings, out="whole")
    whole.train()
    steps_each = 3 * STEPS_PER_EPOCH
    expected = everything(whole)
    for number, name in enumerate(METHODS):
        rows = expected[f"students/{name}/seed-4"]["rows"]
        assert all(row[f"term/{name}"] >= 0 for row in rows), name
        if name not in ("crd", "krd"):
            continue
        plugin.events.clear()
        plugin.interrupt_at = TEACHER_STEPS + (number + 1) * steps_each + STEPS_PER_EPOCH + 2
        with pytest.raises(KeyboardInterrupt):
            opened(*settings, out=name).train()
        plugin.interrupt_at = None
        torch.manual_seed(123)
        resumed = opened(*settings, out=name, resume=True)
        resumed.train()
        assert_equal(expected, everything(resumed))
    memory = torch.load(whole.directory.student("crd", 4) / "last.ckpt", weights_only=True)
    banks = [value for key, value in memory["state_dict"].items() if key.endswith("memory.values")]
    assert [list(bank.shape) for bank in banks] == [[5 * 20, 2 * 4]]
