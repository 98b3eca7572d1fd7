"""The keys of a space: what they are of, and what is said of wrong ones."""

import re
from pathlib import Path

import pytest

from gkd.errors import RecipeError
from gkd.hosting.host import create_host
from gkd.recipe.file import read_recipe
from gkd.sweep.space import spaces, with_values

PLAIN = """\
seeds = [0]
dataset.name = "communities"
teacher.name = "gat"
teacher.params = { hidden_channels = [8], heads = [1, 1] }
teacher.training.epochs = 1
student = { name = "gat", params = { hidden_channels = [8], heads = [1, 1] } }
training = { epochs = 2 }

[[methods]]
name = "kd"
terms = [{ loss = "kd", weight = { gradient_share = 0.1 } }]

[[methods]]
name = "lsp"
terms = [{ loss = "lsp", student = "layers.0", teacher = "layers.0", params = { kernel = "rbf" } }]

[sweep.space]
"""


@pytest.fixture(scope="module")
def host():
    return create_host()


@pytest.fixture
def found(tmp_path, host):
    """Function that returns the spaces by method of lines below ``[sweep.space]``."""

    def read(*lines, space=()):
        path = tmp_path / "own.toml"
        path.write_text(PLAIN + "\n".join(lines) + "\n")
        file = read_recipe(path, (), space)
        return file, {one.method: one for one in spaces(file, host)}

    return read


def test_keys_of_training_are_of_every_method(found):
    file, of = found(
        '"training.learning_rate" = "1e-4..0.1 log"',
        'methods.lsp.terms.0.weight = "1..1000 log"',
        space=('methods.1.terms.0.params.kernel=["rbf", "linear"]',),
    )
    assert list(of) == ["kd", "lsp", "baseline"]
    assert [one.key for one in of["baseline"].dimensions] == ["training.learning_rate"]
    assert [one.key for one in of["lsp"].dimensions] == [
        "training.learning_rate",
        "methods.lsp.terms.0.weight",
        "methods.1.terms.0.params.kernel",
    ]
    assert [one.own for one in of["lsp"].dimensions] == [0.001, 1.0, "rbf"]
    values = dict(zip(of["lsp"].dimensions, (0.01, 30.0, "linear"), strict=True))
    changed = with_values(file, values | {of["baseline"].dimensions[0]: 0.02}).recipe
    kd, lsp, baseline = changed.methods
    assert (lsp.terms[0].weight, lsp.terms[0].params) == (30.0, {"kernel": "linear"})
    rates = [changed.training_of(one).learning_rate for one in (kd, lsp, baseline)]
    assert rates == [0.001, 0.01, 0.02]
    assert changed.training == file.recipe.training
    assert changed.sweep is None


@pytest.mark.parametrize(
    ("key", "whole"),
    [
        ("training.epochs", True),
        ("training.learning_rate", False),
        ("methods.lsp.terms.0.weight", False),
        ("methods.kd.terms.0.weight.gradient_share", False),
        ("methods.lsp.terms.0.params.sigma", True),  # the kernel's, of which the loss says nothing
        ("methods.kd.terms.0.params.temperature", False),
    ],
)
def test_whole_ends_mean_whole_numbers_where_the_key_has_no_others(found, key, whole):
    _, of = found(f'"{key}" = "1..4"')
    (dimension,) = (of["lsp"].dimensions or of["kd"].dimensions)[:1]
    assert dimension.domain.integers == whole
    assert dimension.own_is_inside == (key in ("training.epochs", "methods.lsp.terms.0.weight"))


def test_parameters_of_the_student_are_tried_for_every_method_by_itself(found):
    file, of = found('"student.params.dropout" = "0..1"', '"student.params.bias" = [true, false]')
    assert all(len(one.dimensions) == 2 for one in of.values())
    dropout, bias = of["lsp"].dimensions
    assert not dropout.domain.integers  # the model takes all numbers there
    assert not dropout.has_own
    changed = with_values(file, {dropout: 0.3, bias: True}).recipe
    assert [one.student_params for one in changed.methods] == [
        None,
        {"dropout": 0.3, "bias": True},
        None,
    ]
    assert changed.student == file.recipe.student


def test_the_teachers_parameters_are_those_of_the_only_method_that_has_it(tmp_path, host):
    path = tmp_path / "own.toml"
    text = PLAIN.replace(
        '[[methods]]\nname = "kd"\nterms = [{ loss = "kd", weight = { gradient_share = 0.1 } }]', ""
    )
    path.write_text(text + '"teacher.params.hidden_channels" = [[8], [16]]\n')
    file = read_recipe(path)
    of = {one.method: one for one in spaces(file, host)}
    assert of["baseline"].dimensions == ()
    (dimension,) = of["lsp"].dimensions
    assert dimension.own == [8]
    changed = with_values(file, {dimension: [16]}).recipe
    assert changed.teacher.params["hidden_channels"] == [16]
    with pytest.raises(RecipeError, match=r"own.toml:\d+: .*teacher.weights are those of one"):
        spaces(read_recipe(path, ["teacher.weights=some.safetensors"]), host)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('training.lerning_rate = "1..2"', "own.toml:18: unknown key 'training.lerning_rate'; did"),
        (
            'training.lr = "1..2"',
            "unknown key 'training.lr'; did you mean 'training.learning_rate'?",
        ),
        ('"methods.lps.terms.0.weight" = "1..2"', "own.toml:18: no method 'lps'; did you mean 'ls"),
        (
            '"learning_rate" = "1..2"',
            "unknown key 'learning_rate'; did you mean training.learning_rate?",
        ),
        ('"lsp.weight" = "1..2"', "'lsp.weight'; did you mean methods.lsp.terms.0.weight?"),
        ('"methods.lsp.weight" = "1..2"', "did you mean methods.lsp.terms.0.weight?"),
        ('"methods.lsp.terms.0.wieght" = "1..2"', "unknown key; did you mean 'weight'?"),
        ('"methods.lsp.terms.3.weight" = "1..2"', "no element '3' in methods.lsp.terms"),
        ('"methods.lsp" = "1..2"', "methods.lsp is not one value"),
        ('"methods.baseline.terms.0.weight" = "1..2"', "no element '0' in methods.baseline.terms"),
        ('"training.learning_rate" = "-1..2"', "own.toml:18: training.learning_rate = -1"),
        ('"training.learning_rate" = "2..1"', "own.toml:18: sweep.space.training.learning_rate: "),
        ('"training.optimiser" = ["adam", "sdg"]', "did you mean 'sgd'?"),
        ('"training.momentum" = "0.1..0.9"', "momentum and nesterov belong to sgd, not to adam"),
        ('"training.selection" = ["best", "last"]', "values of other epochs do not compare"),
        ('"dataset.nodes" = "10..20"', "dataset.nodes cannot be swept: validation values"),
        ('"student.name" = ["gat", "gcn"]', "methods are compared on the same student"),
        ('"student.params" = [{}, {dropout = 0.5}]', "student.params.NAME"),
        ('"teacher.params.dropout" = "0.1..0.5"', "expected one method that distils from it, got "),
        ('"teacher.training.epochs" = "1..5"', "is tuned by a recipe whose student it is"),
        ('"trainning.epochs" = "1..2"', "did you mean 'training'?"),
        (
            '"methods.kd.terms.0.weight" = "1..2"\n"methods.0.terms.0.weight" = "1..2"',
            "is there tw",
        ),
        ("", "nothing to sweep: name keys"),
    ],
)
def test_a_wrong_space_names_line_key_and_nearest_choice(found, line, words):
    with pytest.raises(RecipeError) as caught:
        found(line)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["seeds=[100]"], "in common: what a sweep finds is judged by other seeds"),
        (["seeds=[98]", "max_seeds=4"], r"\[100, 101\] in common"),
        (["sweep.seeds=[7, 7]"], "seeds should differ"),
        (["sweep.trails=7"], "did you mean 'trials'"),
        (["methods.lsp.training={learning_rat = 1.0}"], "did you mean 'learning_rate'"),
        (["methods.lsp.training={momentum = 0.5}"], "training of the method 'lsp': momentum and"),
    ],
)
def test_seeds_of_the_search_are_apart_and_methods_train_as_they_say(tmp_path, settings, words):
    path = tmp_path / "own.toml"
    path.write_text(PLAIN + '"training.epochs" = "1..2"\n')
    with pytest.raises(RecipeError, match=words):
        read_recipe(path, settings)


def test_the_space_of_the_guide_is_one(tmp_path, host):
    root = Path(__file__).parents[2]
    (block,) = re.findall(r"```toml\n(.*?)```", (root / "docs" / "sweep.md").read_text(), re.DOTALL)
    path = tmp_path / "guide.toml"
    path.write_text((root / "gkd" / "recipes" / "communities.toml").read_text() + block)
    found = {one.method: len(one.dimensions) for one in spaces(read_recipe(path), host)}
    assert found == {"baseline": 1, "kd": 2, "lsp": 4}
