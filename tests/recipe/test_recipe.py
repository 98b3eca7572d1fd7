# ruff: noqa: E501  one mistake and its explanation per line
import tomllib
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gkd.errors import ParameterError, RecipeError
from gkd.recipe.file import read_recipe, resolved_toml
from gkd.recipe.lines import key_lines
from gkd.recipe.settings import Setting
from gkd.recipe.shipped import shipped_recipes

TEXT = """\
title = "a test"
seeds = [0, 1]

[dataset]
name = "blobs"
size = 3

[teacher]
name = "wide"
[teacher.training]
epochs = 4

[student]
name = "narrow"
params = { width = 2 }

[training]
epochs = 2
learning_rate = 0.1

[[methods]]
name = "lsp"
terms = [
    { loss = "lsp", weight = 100.0 },
    { loss = "kd", weight = { start = 0.0, end = 1.0, epochs = 2 } },
]
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "mine.toml"
    file.write_text(TEXT)
    return file


def failure(path: Path, old: str, new: str) -> str:
    assert old in TEXT
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    return str(caught.value)


def test_reads_what_is_written_and_adds_the_baseline(path):
    file = read_recipe(path)
    assert file.name == "mine"
    recipe = file.recipe
    assert recipe.seeds == [0, 1]
    assert recipe.dataset.params == {"size": 3}
    assert recipe.training.learning_rate == 0.1
    assert [method.name for method in recipe.methods] == ["lsp", "baseline"]
    assert recipe.methods[0].terms[0].weight == 100.0


def test_baseline_is_not_added_twice(path):
    path.write_text(TEXT + '[[methods]]\nname = "baseline"\n')
    assert [method.name for method in read_recipe(path).recipe.methods] == ["lsp", "baseline"]


def test_the_baseline_may_have_its_former_name(path):
    text = TEXT.replace("[[methods]]", '[[methods]]\nname = "alone"\n\n[[methods]]', 1)
    path.write_text(text)
    assert [method.name for method in read_recipe(path).recipe.methods] == ["baseline", "lsp"]
    path.write_text(text + '[[methods]]\nname = "baseline"\n')
    names = [method.name for method in read_recipe(path).recipe.methods]
    assert names == ["alone", "lsp", "baseline"]


def test_resolved_recipe_reads_back_as_itself(path, tmp_path):
    recipe = read_recipe(path, ["dataset.root=./some where", "training.gradient_clipping=1"]).recipe
    copy = tmp_path / "copy.toml"
    copy.write_text(resolved_toml(recipe))
    assert read_recipe(copy).recipe == recipe
    assert "batch_size = 1" in copy.read_text()


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_are_valid(name):
    recipe = read_recipe(name).recipe
    assert recipe.title
    assert "baseline" in [method.name for method in recipe.methods]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("learning_rate", "lerning_rate", ["mine.toml:19: training.lerning_rate: unknown key", "'learning_rate'"]),
        ("[student]", "[studnet]", ["mine.toml:13: studnet: unknown key; did you mean 'student'", "student: missing"]),
        ("epochs = 2", 'epochs = "2"', ["mine.toml:18: training.epochs: must be 0 < int <= 1000000, got '2'"]),
        ("epochs = 2", "epochs = 0", ["mine.toml:18: training.epochs: must be 0 < int <= 1000000, got 0"]),
        ("epochs = 2", "epochs = true", ["mine.toml:18: training.epochs: must be 0 < int <= 1000000, got True"]),
        ("learning_rate = 0.1", "learning_rate = nan", ["mine.toml:19: training.learning_rate: must be a number, got nan"]),
        ("learning_rate = 0.1", "weight_decay = inf", ["mine.toml:19: training.weight_decay: must be finite float >= 0, got inf"]),
        ("learning_rate = 0.1", "momentum = 1", ["mine.toml:19: training.momentum: must be 0 <= float < 1, got 1"]),
        ("[training]", "[training.more]\nx = 1\n[training]", ["mine.toml:17: training.more: unknown key"]),
        ("learning_rate = 0.1", "momentum = 0.9", ["mine.toml:17: training: momentum", "belong to sgd"]),
        ("learning_rate = 0.1", 'optimiser = "sgd"\nnesterov = true', ["nesterov needs a momentum"]),
        ("learning_rate = 0.1", 'optimiser = "adm"', ["mine.toml:19: training.optimiser: must be 'adam' | 'adamw' | 'sgd', got 'adm'; did you mean 'adam'"]),
        ("weight = 100.0", "weight = -1", ["mine.toml:24: methods.0.terms.0.weight", "finite number >= 0"]),
        ("weight = { start", "weight = { strt", ["mine.toml:25: methods.0.terms.1.weight", "strt"]),
        ('loss = "kd"', 'lss = "kd"', ["mine.toml:25: methods.0.terms.1.lss: unknown key", "terms.1.loss: missing"]),
        ('loss = "kd"', 'loss = "kd", graph = 3', ["mine.toml:25: methods.0.terms.1.graph"]),
        ('loss = "kd"', 'loss = "at", student = "a", layout = "N F H"', ["mine.toml:25: methods.0.terms.1.layout", "there is no 'N F H'; did you mean 'N H F'"]),
        ("seeds = [0, 1]", "seeds = [1, 1]", ["seeds should differ"]),
        ("seeds = [0, 1]", "seeds = []", ["mine.toml:2: seeds: must be list[int >= 0] of length >= 1, got []"]),
        ("seeds = [0, 1]", "seeds = [0, -1]", ["mine.toml:2: seeds.1: must be int >= 0, got -1"]),
        ("seeds = [0, 1]", 'precision = "8-bit"', ["mine.toml:2: precision: must be '32-true' | 'bf16-mixed' | '16-mixed', got '8-bit'"]),
        ('name = "lsp"', 'name = "a/b"', ["mine.toml:22: methods.0.name: must be str matching", "got 'a/b'"]),
        ('name = "lsp"', 'name = "baseline"', ["baseline: it trains [student] without terms"]),
        ('name = "lsp"', 'name = "lsp"\nstudent_params = {a = 1}\nstudent.name = "b"', ["methods.0: student_params are over those of the recipe's student"]),
        ("[teacher.training]\nepochs = 4", "", ["mine.toml:8: teacher", "weights"]),
        ("[[methods]]", '[[methods]]\nname = "lsp"\n[[methods]]', ["2 methods are called 'lsp'"]),
        ("seeds = [0, 1]", "epochs = 3", ["mine.toml:2: epochs: unknown key; 'epochs' is one of training"]),
        ('name = "lsp"', 'name = "lsp"\nweight = 3', ["mine.toml:23: methods.0.weight: unknown key; 'weight' is one of methods.terms; did you mean methods.lsp.terms.0.weight?"]),
        ('name = "narrow"', 'name = "narrow"\nwidth = 3', ["mine.toml:15: student.width: unknown key; did you mean student.params.width?"]),
        ('name = "narrow"', 'name = "narrow"\ndropout = 0.5', ["student.dropout: unknown key; available: edges_per_pass, inputs, logits, name, params; if the component takes it: student.params.dropout"]),
        ("[teacher.training]\n", "[teacher.training]\nseeds = [1]\n", ["teacher.training.seeds: unknown key; 'seeds' is one of the recipe as a whole"]),
        ("[[methods]]", "[methods]", ["mine.toml:21: methods: must be list[table], got {"]),
    ],
)  # fmt: skip
def test_mistakes_are_explained_at_their_lines(path, old, new, expected):
    message = failure(path, old, new)
    for part in expected:
        assert part in message


def test_all_mistakes_are_told_at_once(path):
    path.write_text(TEXT.replace("epochs = 4", "epochs = -4").replace("seeds", "seds"))
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    told = [line.split(": ")[1] for line in str(caught.value).splitlines()]
    assert told == ["teacher.training.epochs", "seds"]


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ("", ":6:8: not valid TOML: a value is missing"),
        (", 3", ":6:8: not valid TOML: a value is missing"),
        ("large", ':6:8: not valid TOML: text stands in quotes: "large"'),
        ("very large  # as is", ':6:8: not valid TOML: text stands in quotes: "very large"'),
        ("3 nodes", ':6:10: not valid TOML: text stands in quotes: "3 nodes"'),
        ("[{ loss = kd }]", ':6:18: not valid TOML: text stands in quotes: "kd"'),
        ("~/data", ':6:8: not valid TOML: text stands in quotes: "~/data"'),
        ("x" * 9999, f':6:8: not valid TOML: text stands in quotes: "{"x" * 100}…"'),
        ("True", ":6:8: not valid TOML: True is written true"),
        ("None", ":6:8: not valid TOML: there is no None in TOML"),
        (".5", ":6:8: not valid TOML: a number has a digit before its point: 0.5"),
        ("1,000", ":6:9: not valid TOML: a number has no commas: 1000"),
        ("007", ":6:9: not valid TOML: a number does not begin with 0: 7"),
        ('"3', ":6:10: not valid TOML: a quote is not closed"),
        ("'''3", ":6: not valid TOML: a quote is not closed"),
        ('"C:\\data"', ":6:13: not valid TOML: a backslash in double quotes is written twice"),
        ("3\nsize = 4", ":7:9: not valid TOML: size is there already"),
        ("3\nsize: 4", ":7:5: not valid TOML: a key and its value have an equals sign between"),
        ("3\n{a = 1}", ":7:1: not valid TOML: a line is a key, an equals sign and a value"),
        ("{a = 1\n}", ":6:14: not valid TOML: a table in { } stands in one line"),
        ("[1, 2", ":8:1: not valid TOML: Unclosed array"),
    ],
)
def test_syntax_errors_say_where_and_what_to_write(path, size, expected):
    assert f"mine.toml{expected}" in failure(path, "size = 3", f"size = {size}")


@pytest.mark.parametrize(
    ("end", "expected"),
    [
        ("# it's one\nmore = [1, 2", ": not valid TOML: Unclosed array"),
        ("# it's one\nmore = {a = 1", ": not valid TOML: Unclosed inline table"),
        ("a = '''x\n# it's one\n", ":28: not valid TOML: a quote is not closed"),
        ('a = """x"""\nb = """\nit"s\n', ":29: not valid TOML: a quote is not closed"),
        ('a = """x"""\nb = "x', ":29: not valid TOML: a quote is not closed"),
        ("a = '''x'''\nb = 'x", ":29: not valid TOML: a quote is not closed"),
    ],
)
def test_what_is_open_at_the_end_is_no_other_quote(path, end, expected):
    path.write_text(f"{TEXT}\n{end}")
    with pytest.raises(RecipeError) as caught:
        read_recipe(path)
    assert f"mine.toml{expected}" in str(caught.value)


@pytest.mark.parametrize(
    ("number", "expected"),
    [
        ("7" * 5000, ["mine.toml:6:8: not valid TOML", "4300 digits"]),
        ("0x" + "f" * 5000, ["mine.toml:6: dataset.size: must be an integer of 64 bits", "6021 digits"]),
        ("nan", ["mine.toml:6: dataset.size: must be a number, got nan"]),
        (str(2**63), ["mine.toml:6: dataset.size: must be an integer of 64 bits", "got 9223372036854775808"]),
        ("[" * 5000 + "]" * 5000, ["mine.toml: not valid TOML: it is nested too deep"]),
    ],
)  # fmt: skip
def test_no_number_is_larger_than_computers_have_them(path, number, expected):
    message = failure(path, "size = 3", f"size = {number}")
    for part in expected:
        assert part in message
    with pytest.raises(RecipeError):
        read_recipe("demo", [f"training.epochs={number}"])


def test_no_message_is_as_long_as_what_is_wrong(path):
    path.write_text(TEXT + "".join(f"[key_{'x' * 300}{i}]\n" for i in range(500)))
    with pytest.raises(RecipeError, match="and 480 more") as caught:
        read_recipe(path)
    assert len(str(caught.value)) < 20_000
    with pytest.raises(RecipeError, match="must be") as caught:
        read_recipe("demo", [f"training.epochs={'many' * 9999}"])
    assert len(str(caught.value)) < 1000


def test_a_recipe_may_begin_with_a_byte_order_mark(path):
    path.write_text("\ufeff" + TEXT, encoding="utf-8")
    assert read_recipe(path).recipe.title == "a test"


def test_mistakes_of_components_are_at_the_line_of_the_parameter(path):
    origins = read_recipe(path).origins
    for line, message in ((6, "blobs: 'size' = 3, 'name' = 2"), (4, "blobs: size is wrong")):
        expected = f"mine.toml:{line}: dataset: {message}"
        with pytest.raises(RecipeError, match=expected), origins.context("dataset"):
            raise ParameterError(message)


def test_distilling_needs_a_teacher(path):
    teacher = TEXT[TEXT.index("[teacher]") : TEXT.index("[student]")]
    assert "'lsp' distils, but there is no [teacher]" in failure(path, teacher, "")


def test_missing_file_and_misspelt_name():
    with pytest.raises(RecipeError, match="did you mean 'ppi-lsp'"):
        read_recipe("ppi-lps")
    with pytest.raises(RecipeError, match="neither a file"):
        read_recipe("nowhere/at/all.toml")


def test_unreadable_file(tmp_path):
    file = tmp_path / "binary.toml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match="cannot be read"):
        read_recipe(file)


@pytest.mark.parametrize(
    ("setting", "read"),
    [
        ("training.epochs=9", lambda recipe: recipe.training.epochs == 9),
        ("dataset.root=/data/ppi", lambda recipe: recipe.dataset.params["root"] == "/data/ppi"),
        ("dataset.root=", lambda recipe: recipe.dataset.params["root"] == ""),
        ("student.params.heads=[2, 2]", lambda recipe: recipe.student.params["heads"] == [2, 2]),
        ("teacher.params.width=8", lambda recipe: recipe.teacher.params == {"width": 8}),
        ("methods.0.terms.0.weight=3", lambda recipe: recipe.methods[0].terms[0].weight == 3),
        ("methods.lsp.terms.1.weight=3", lambda recipe: recipe.methods[0].terms[1].weight == 3),
        (
            'methods.0.terms.0={loss="at",student="a",layout={form="B N F",mask="mask"}}',
            lambda recipe: recipe.methods[0].terms[0].layout == {"form": "B N F", "mask": "mask"},
        ),
        ("title=plain words", lambda recipe: recipe.title == "plain words"),
    ],
)
def test_settings_replace_values(path, setting, read):
    assert read(read_recipe(path, [setting]).recipe)


def test_later_settings_win(path):
    assert read_recipe(path, ["training.epochs=9", "training.epochs=8"]).recipe.training.epochs == 8


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("training.epoch=9", "--set training.epoch=9: training.epoch: unknown key; did you mean 'epochs'"),
        ("trainig.epochs=9", "--set trainig.epochs=9: trainig: unknown key; did you mean 'training'"),
        ("training.epochs=many", "--set training.epochs=many: training.epochs: must be 0 < int <= 1000000, got 'many'"),
        ("seeds=[-1]", "--set seeds=[-1]: seeds.0: must be int >= 0, got -1"),
        ("methods.0.terms.0.student=3", "terms.0.student: must be str | list[str] of length >= 1 | None, got 3"),
        ("training.sampling={neighbours=[0]}", "neighbours.0: must be 1 <= int <= 10000 | 'all', got 0"),
        ("methods.lsp.weight=3", "'weight' is one of methods.terms; did you mean methods.lsp.terms.0.weight?"),
        ("methods.weight=3", "no element 'weight' in methods; did you mean methods.lsp.terms.0.weight?"),
        ("methods.lsp.terms.weight=3", "no element 'weight' in methods.lsp.terms; did you mean methods.lsp.terms.0.weight?"),
        ("methods.3.name=x", "no element '3' in methods; available: 0, lsp"),
        ("methods.0.terms.7.weight=1", "no element '7' in methods.0.terms; available: 0, 1"),
        ("methods.lps.name=x", "did you mean 'lsp'"),
        ("title.x=1", "title is 'a test', not a table"),
        ("training.epochs", "expected KEY=VALUE"),
        ("=3", "expected KEY=VALUE"),
        ("training..epochs=3", "expected KEY=VALUE"),
    ],
)  # fmt: skip
def test_wrong_settings_are_explained(path, setting, expected):
    with pytest.raises(RecipeError) as caught:
        read_recipe(path, [setting])
    assert expected in str(caught.value)


def test_lines_of_long_arrays_end_with_the_patience():
    array = "[\n" + "  [1],\n" * 10_000 + "]"  # as many attempts took an hour
    lines = key_lines(f"first = 1\nlong = {array}\nlast = 2\n")
    assert lines["first",] == 1
    assert ("last",) not in lines


def test_lines_of_every_form_of_key():
    text = '''\
# comment with a [table] = in it
a."b.c".d = """
[not.a.table]
x = 1
"""
'e' = [ # one
  "x]", 'y}', # two
  { f = [1, 2], "g" = 3 },
]
[t]
u.v = 2026-11-22 07:30:00
[[t.l]]
m = 1
[t.l.n]
o = "\\"="
[[t.l]]
m = 2
'''
    tomllib.loads(text)
    lines = key_lines(text)
    assert lines["a", "b.c", "d"] == 2
    assert lines["e",] == 6
    assert lines["e", 1] == 7
    assert lines["e", 2] == 8
    assert lines["t", "u", "v"] == 11
    assert lines["t", "l", 0, "m"] == 13
    assert lines["t", "l", 0, "n", "o"] == 15
    assert lines["t", "l", 1, "m"] == 17
    assert ("not",) not in lines


def leaves(value, path=()):
    yield path
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from leaves(inner, (*path, index))


keys = st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=5)
scalars = st.integers(-9, 9) | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=8)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)
)


def innermost(lines, path):
    """Line of a path, or of the innermost path around it that is listed."""
    return next(lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines)


def test_elements_have_the_line_that_begins_with_them():
    text = """\
a = [ # none yet

    [1,
     2], [3],
    "]", # one
]
b = [
    1]
"""
    lines = key_lines(text)
    # The second begins amid the line that ends the first: the first is named.
    assert [innermost(lines, ("a", index)) for index in range(3)] == [3, 3, 5]
    assert lines["b", 0] == 8


@given(st.dictionaries(keys, values, max_size=4))
def test_every_value_of_any_document_has_a_line(document):
    import tomlkit

    text = tomlkit.dumps(document)
    lines = key_lines(text)
    found = {path for path in leaves(tomllib.loads(text)) if path}
    assert set(lines) <= found
    for path in found:
        line = innermost(lines, path)
        above = "\n".join(text.split("\n")[: line - 1])
        # The value does not stand above its line, unless that is in the midst of something.
        with suppress(tomllib.TOMLDecodeError):
            assert path not in set(leaves(tomllib.loads(above)))


@given(st.text(max_size=20))
def test_any_text_is_a_value(text):
    setting = Setting.of(f"a={text}")
    assert setting.path == ("a",)
