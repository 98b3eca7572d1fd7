"""Components of one's own by ``module:Object``: found, of the right kind, or explained."""

import pickle
import sys
from pathlib import Path
from textwrap import dedent

import pytest
import torch
from torch import nn

import gkd
from gkd.hosting.host import Host, create_host, import_own
from gkd.hosting.own_code import imported
from gkd.recipe.file import own_modules
from gkd.training.code_checksums import own_checksums

MODELS = """
    from functools import partial

    from torch import nn

    import helpers_of_mine
    from gkd import AbstractLoss


    class Net(nn.Module):
        def __init__(self, in_channels: int, out_channels: int, width: int = helpers_of_mine.WIDTH):
            super().__init__()
            self.layer = nn.Linear(in_channels, out_channels)


    class Both:
        class Inner(nn.Module):
            pass


    class Near(AbstractLoss):
        def forward(self, student, teacher):
            return (student.logits - teacher.logits).square().mean()


    class Neighbours:
        def __call__(self, features, batch=None):
            raise NotImplementedError


    def made(in_channels: int, out_channels: int) -> nn.Linear:
        return nn.Linear(in_channels, out_channels)


    def unsaid(in_channels, out_channels):
        raise AssertionError("it is never called")


    def lying() -> nn.Module:
        return "no module"


    number, other = 3, partial(made, 3)


    def __getattr__(name):
        if name == "broken":
            raise OSError("no disk")
        raise AttributeError(name)
"""


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    """A host of no plugins, beside a module of one's own."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "models_of_mine.py").write_text(dedent(MODELS))
    (tmp_path / "helpers_of_mine.py").write_text("WIDTH = 7\n")
    for name in [name for name in sys.modules if name.endswith("_of_mine")]:
        monkeypatch.delitem(sys.modules, name)
    return create_host(discover=False).with_code(tmp_path)


def test_a_class_or_a_function_that_says_what_it_makes_is_a_component(host: Host) -> None:
    sizes = {"in_channels": 2, "out_channels": 3}
    assert type(host.create("model", "models_of_mine:Net", **sizes)).__name__ == "Net"
    assert isinstance(host.create("model", "models_of_mine:made", **sizes), nn.Linear)
    assert isinstance(host.create("model", "models_of_mine:Both.Inner"), nn.Module)
    assert isinstance(host.create("loss", "models_of_mine:Near"), gkd.AbstractLoss)
    assert callable(host.create("graph", "models_of_mine:Neighbours"))
    linear = host.create("model", "torch.nn:Linear", in_features=2, out_features=3)
    assert linear(torch.ones(1, 2)).shape == (1, 3)


def test_names_are_used_inside_other_components(host: Host) -> None:
    with host.activated():
        assert isinstance(gkd.create("loss", "models_of_mine:Near"), gkd.AbstractLoss)


@pytest.mark.parametrize(
    ("kind", "name", "words"),
    [
        ("model", "models_of_mien:Net", "there is no module 'models_of_mien'; did you mean 'mod"),
        ("model", "zzzzqqq:Net", r"there is no module 'zzzzqqq'; modules are looked for in .*"),
        (
            "model",
            "models_of_mine.Net",
            "'models_of_mine.Net'; a class of your own is written 'models_of_mine:Net'; ",
        ),
        ("model", "models_of_mine:Nte", "has no 'Nte'; did you mean 'Net'? Available: Both, Near"),
        ("model", "models_of_mine:Both.Iner", "has no 'Both.Iner'; did you mean 'Inner'?"),
        (
            "model",
            "models_of_mine:Neighbours",
            "models_of_mine:Neighbours is a class derived from object, no model: expected a class "
            "derived from Module, or a function annotated to return one; available: Near, Net, "
            "lying, made",
        ),
        ("task", "models_of_mine:Net", "a function annotated to return one; models_of_mine has no"),
        ("loss", "models_of_mine:Net", "no loss: expected a class derived from AbstractLoss"),
        (
            "graph",
            "models_of_mine:unsaid",
            "is a function, no graph: expected a class with __call__",
        ),
        ("model", "models_of_mine:unsaid", "models_of_mine:unsaid is a function, no model"),
        ("model", "models_of_mine:number", "is of type int, no model"),
        ("model", "models_of_mine:other", "is of type partial, no model"),
        ("model", "models_of_mine:lying", "must be Module, but its factory made str"),
        ("model", "models_of_mine:number.rael", "has no 'number.rael'; did you mean 'real'?"),
        ("model", "models_of_mine:broken", "models_of_mine:broken cannot be imported: OSError: no"),
        ("dataset", "os:system", "os:system is a function, no dataset"),
        ("dataset", "subprocess:Popen", "is a class derived from object, no dataset"),
        ("model", "models_of_mine:Net", "missing parameter 'in_channels'"),
    ],
)
def test_mistakes_name_the_nearest_choice(host: Host, kind: str, name: str, words: str) -> None:
    with pytest.raises(gkd.GkdError) as caught:
        host.create(kind, name)
    assert words.removesuffix(".*") in str(caught.value)


def test_a_module_in_the_working_directory_that_no_folder_names_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "nets_of_now.py").write_text("")
    monkeypatch.chdir(tmp_path)
    host = create_host(discover=False)
    words = (
        "no module 'nets_of_now'; the working directory has nets_of_now.py: name it as .* code=."
    )
    with pytest.raises(gkd.GkdError, match=words):
        host.create("model", "nets_of_now:Net")
    with pytest.raises(gkd.GkdError, match="among what is installed, as no folder of your code is"):
        host.create("model", "zzzzqqq:Net")


def test_a_module_that_breaks_is_told_with_its_line(host: Host, tmp_path: Path) -> None:
    (tmp_path / "broken_of_mine.py").write_text("x = 1\nraise ValueError('no way')\n")
    (tmp_path / "lacking_of_mine.py").write_text("import no_such_library\n")
    with pytest.raises(gkd.ParameterError) as caught:
        host.create("model", "broken_of_mine:Net")
    place = f"{tmp_path / 'broken_of_mine.py'}:2"
    expected = f"broken_of_mine cannot be imported: ValueError: no way [{place}]"
    assert str(caught.value) == expected
    with pytest.raises(gkd.ParameterError, match="No module named 'no_such_library'"):
        host.create("model", "lacking_of_mine:Net")


def test_another_module_of_the_name_does_not_pass_for_it(host: Host, tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("class Net: ...\n")
    with pytest.raises(gkd.ParameterError, match=r"module 'json' of .* is hidden by another"):
        host.create("model", "json:Net")


def test_a_host_may_refuse_them(host: Host, tmp_path: Path) -> None:
    refusing = host.with_code(None, imports=False)
    for again in (refusing, pickle.loads(pickle.dumps(refusing))):
        with pytest.raises(gkd.UnknownNameError, match="none of which is imported here"):
            again.create("model", "models_of_mine:Net")
        with again.activated(), pytest.raises(gkd.UnknownNameError, match="none of which"):
            import_own("models_of_mine:Net")
    assert "models_of_mine" not in sys.modules


def test_another_process_finds_them_too(host: Host) -> None:
    again = pickle.loads(pickle.dumps(host))
    assert again.component("model", "models_of_mine:Net").factory.__name__ == "Net"


def test_components_of_plugins_come_first(tmp_path: Path) -> None:
    plugin = type("Plugin", (), {"gkd_models": gkd.hookimpl(lambda self: {"net": nn.Identity})})()
    host = create_host(discover=False)
    host.register(plugin, distribution="mine")
    assert isinstance(host.create("model", "mine:net"), nn.Identity)
    with pytest.raises(gkd.UnknownNameError, match="did you mean 'mine:net'"):
        host.create("model", "mine:nte")


def test_objects_of_a_module_are_among_its_names(host: Host, tmp_path: Path) -> None:
    (tmp_path / "graphs_of_mine.py").write_text(
        "import sys\nfrom pathlib import Path\nring = Path()\n"
    )
    with pytest.raises(
        gkd.ParameterError, match=r"graphs_of_mine has no 'rign'; did you mean 'ring'\?"
    ):
        imported("graphs_of_mine:rign", tmp_path)
    with pytest.raises(gkd.ParameterError, match=r"graphs_of_mine has no 'x'; available: ring$"):
        imported("graphs_of_mine:x", tmp_path)


def test_what_is_imported_is_known_by_its_content(host: Host, tmp_path: Path) -> None:
    assert own_checksums(tmp_path) == {}
    host.create("loss", "models_of_mine:Near")
    assert set(own_checksums(tmp_path)) == {"models_of_mine", "helpers_of_mine"}
    recipe = {"a": [{"name": "models_of_mine:Net"}], "b": "helpers_of_mine:x", "c": "torch.nn:ReLU"}
    assert list(own_modules(recipe, tmp_path)) == ["models_of_mine", "helpers_of_mine"]
