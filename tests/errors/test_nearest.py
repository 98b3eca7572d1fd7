"""The nearest choice: other spellings, other words, single mistakes in short names."""

import pytest

import gkd
from gkd.errors import OTHER_WORDS, nearest, suggestion
from gkd.evaluation.splits import SPLITS
from gkd.hosting.kinds import KINDS
from gkd.recipe.model import Recipe, StudentRecipe, TeacherRecipe, TermRecipe
from gkd.recipe.training import TrainingRecipe


@pytest.mark.parametrize(
    ("name", "choices", "found"),
    [
        ("lr", ["learning_rate", "epochs"], "learning_rate"),
        ("LR", ["learning_rate", "epochs"], "learning_rate"),
        ("gpu", ["auto", "cpu", "cuda", "mps"], "cuda"),
        ("Batch-Size", ["batch_size"], "batch_size"),
        ("num_workers", ["workers", "epochs"], "workers"),
        ("GCN", ["dgcnn", "gcn"], "gcn"),
        ("gcn", ["dgcnn", "gat"], None),  # which is another network
        ("gat", ["goat", "dgcnn"], "goat"),
        ("at", ["nst"], None),
        ("sgae", ["sage", "gat"], "sage"),
        ("graphsage", ["sage", "gat"], "sage"),
        ("val", ["train", "validation", "test"], "validation"),
        ("gauss", ["cosine", "l2", "rbf"], "rbf"),
        ("L1", ["l2", "laplacian"], "laplacian"),
        ("MSE", ["fitnet", "nst"], "fitnet"),
        ("", ["lsp"], None),
    ],
)
def test_the_nearest_choice(name: str, choices: list[str], found: str | None) -> None:
    assert nearest(name, choices) == found
    assert ("did you mean" in suggestion(name, choices)) == (found is not None)


@pytest.mark.parametrize("name", ["test/chair/7", "airplane"])
def test_of_many_choices_a_few_are_listed(name: str) -> None:
    choices = [f"test/chair/{number}" for number in range(908)]
    words = suggestion(name, choices)
    assert words.endswith(", … (908 in all)")
    assert ("did you mean 'test/chair/7'? Available: test/chair/7, " in words) == (name in choices)
    assert words.count("test/chair/") == 5 + (name in choices)
    assert suggestion(name, choices[:40]).count("test/chair/") == 40 + (name in choices)


def test_other_words_are_of_something_that_there_is() -> None:
    known = {"cuda", "mps", "32-true", "16-mixed", "bf16-mixed"}
    for part in (Recipe, StudentRecipe, TeacherRecipe, TermRecipe, TrainingRecipe):
        known |= set(part.model_fields)
    host = gkd.create_host()
    for kind in KINDS:
        for name in host.names(kind):
            known |= {name, *host.signature(kind, name).parameters}
    known |= set(SPLITS)
    known |= {"accuracy", "roc_auc", "average_precision", "micro_f1"}  # metrics
    assert OTHER_WORDS.keys() <= known
    for name, words in OTHER_WORDS.items():
        assert [nearest(word, [name]) for word in words] == [name] * len(words)
