"""Which components a name or a class stands for, and what they are called."""

import functools
from pathlib import Path

import broken_kernels
import broken_losses
import broken_models
import pytest
import torch

from gkd import ParameterError, UnknownNameError, testing
from gkd.hosting.example_parameters import example_parameters
from gkd.testing.parametrize import checks
from gkd.testing.subject import kind_of, subject

COMPONENTS = """
    from gkd import AbstractKernel, hookimpl

    class Near(AbstractKernel):
        example_parameters = ({"scale": 1.0}, {"scale": 2.0})

        def __init__(self, scale):
            self.scale = scale

        def similarity(self, pairs):
            return -self.scale * pairs.squared_distance()

    @hookimpl
    def gkd_kernels():
        return {"near": Near}
"""


def labels(text: str) -> list[str]:
    return [found.label for found in testing.selected(text)]


def test_a_component_is_named_by_kind_and_name():
    assert labels("loss:lsp") == ["loss:lsp"]
    assert labels("loss:gkd:lsp") == ["loss:gkd:lsp"]


def test_parameters_follow_as_in_toml():
    (found,) = testing.selected('kernel:rbf {sigma = "median"}', examples=3)
    assert found.label == "kernel:rbf(sigma=median)"
    assert found.create().sigma == "median"
    assert found.examples == 3


def test_a_plugin_is_named_by_its_entry_point_or_distribution():
    assert labels("classic") == ["loss:at", "loss:fitnet", "loss:kd", "loss:nst"]
    assert labels("gkd:classic") == labels("classic")
    assert set(labels("classic")) < set(labels("gkd"))


def test_a_component_is_there_once_for_each_of_its_example_parameters(site):
    site.add("near-plugin", COMPONENTS)
    with site.host().activated():
        assert labels("near-plugin") == ["kernel:near(scale=1.0)", "kernel:near(scale=2.0)"]
        assert labels("kernel:near {scale = 3.0}") == ["kernel:near(scale=3.0)"]
        assert subject("kernel", "near").name == "near(scale=1.0)"


def test_a_plugin_without_components_says_so(site):
    site.add("empty-plugin", "x = 1")
    with (
        site.host().activated(),
        pytest.raises(UnknownNameError, match="'empty-plugin' provides no component"),
    ):
        testing.selected("empty-plugin")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("clasic", "did you mean 'classic'"),
        ("loss:lps", "did you mean 'lsp'"),
        ("kernel:rbf {sigma = }", "are not TOML"),
    ],
)
def test_what_does_not_exist_is_explained(text, message):
    with pytest.raises((UnknownNameError, ParameterError), match=message):
        testing.selected(text)


def test_parameters_of_a_whole_plugin_are_refused():
    with pytest.raises(ParameterError, match="go with one component"):
        testing.selected("classic {power = 1.0}")


def test_names_are_readable():
    assert subject("loss", broken_losses.MeanOverEdges).label == "loss:mean-over-edges"
    assert subject("kernel", functools.partial(broken_kernels.Near)).label == "kernel:near"
    long = {"graphs": [{"name": "knn", "k": k} for k in range(1, 9)]}
    assert len(subject("graph", "union", long).name) < 80


def test_a_base_class_tells_the_kind():
    assert kind_of(broken_losses.Norms) == "loss"
    assert kind_of(broken_kernels.Near) == "kernel"
    with pytest.raises(ParameterError, match="kind of 'Sums' does not show"):
        kind_of(broken_models.Sums)


def test_models_get_widths_unless_they_are_given():
    network = subject("model", broken_models.Sums).create()
    assert (network.first.in_features, network.last.out_features) == (3, 4)
    wide = subject("model", broken_models.Sums, {"in_channels": 7})
    assert wide.create().first.in_features == 7
    assert wide.name == "sums(in_channels=7)"


def test_a_seed_makes_equal_components():
    made = subject("model", broken_models.Sums)
    one, other, third = made.create(seed=1), made.create(seed=1), made.create(seed=2)
    assert torch.equal(one.last.weight, other.last.weight)
    assert not torch.equal(one.last.weight, third.last.weight)


def test_without_a_declaration_a_component_is_made_without_parameters():
    assert example_parameters(broken_losses.Norms) == ({},)


class FromFile(broken_kernels.Near):
    def __init__(self, file: Path) -> None:
        self.content = Path(file).read_text()

    @staticmethod
    def example_parameters(folder):
        (folder / "kernel.txt").write_text("near")
        return ({"file": folder / "kernel.txt"},)


def test_a_component_may_write_the_files_that_it_is_checked_with():
    made = subject("kernel", FromFile)
    assert made.name == "from-file(file=kernel.txt)"
    assert made.create().content == "near"
    assert subject("kernel", FromFile).params == made.params


class FromData(FromFile):
    example_parameters = ({"file": "kernel.txt", "scale": 2.0},)


def test_paths_of_examples_are_below_the_folder_of_real_data(tmp_path, monkeypatch):
    monkeypatch.setenv("GKD_DATA", str(tmp_path))
    assert example_parameters(FromData) == ({"file": tmp_path / "kernel.txt", "scale": 2.0},)
    monkeypatch.delenv("GKD_DATA")
    assert example_parameters(FromData) == ({"scale": 2.0},)


def test_checks_are_named_by_component_and_law():
    made = checks([subject("kernel", "rbf", {"sigma": 2.0})])
    assert made[0].id == "kernel:rbf(sigma=2.0) / finite-and-one-per-edge"
    assert len(made) == len(testing.laws("kernel"))


def test_parametrised_checks_take_classes_names_and_parameters():
    mark = testing.parametrize_with_checks(
        [broken_losses.Norms, ("kernel", "rbf"), ("kernel", "rbf", {"sigma": 2.0})]
    )
    ids = [parameter.id for parameter in mark.args[1]]
    assert ids[0] == "loss:norms / finite-and-scalar"
    assert "kernel:rbf / symmetric" in ids
    assert "kernel:rbf(sigma=2.0) / symmetric" in ids
    with pytest.raises(ParameterError, match="does not show"):
        testing.parametrize_with_checks([broken_models.Sums])
