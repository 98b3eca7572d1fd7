"""A recipe whose components are all classes of a module beside it."""

import json
import os
import shutil
import sys
from pathlib import Path
from textwrap import dedent

import numpy as np
import pytest
import torch
from command_line import Run

import gkd

CODE = """
    import torch
    from torch import nn

    from gkd import AbstractDataset, AbstractKernel, AbstractLoss, AbstractWeigher, Graph, Sample
    from gkd_tasks.single_label import SingleLabel


    class Data(AbstractDataset):
        task = "single-label"
        num_features, num_classes = 4, 3
        inputs = ("x", "edge_index")
        train = validation = test = ()

        def __init__(self, nodes: int = 12):
            parts = (("train", 2), ("validation", 1), ("test", 1))
            for number, (split, count) in enumerate(parts):
                samples = [self.sample(f"{split}-{i}", nodes, 9 * number + i) for i in range(count)]
                setattr(self, split, samples)

        def sample(self, id, nodes, seed):
            generator = torch.Generator().manual_seed(seed)
            y = torch.randint(3, (nodes,), generator=generator)
            x = torch.randn(nodes, 4, generator=generator) + y[:, None]
            edges = torch.randint(nodes, (2, 3 * nodes), generator=generator)
            return Sample(id=id, x=x, edge_index=edges, y=y)


    class Net(nn.Module):
        inputs = ("x",)

        def __init__(self, in_channels: int, out_channels: int, width: int = 3):
            super().__init__()
            self.hidden = nn.Linear(in_channels, width)
            self.out = nn.Linear(width, out_channels)

        def forward(self, x):
            return self.out(self.hidden(x).relu())


    class Loss(AbstractLoss):
        uses = ("logits",)
        per_row = True

        def forward(self, student, teacher):
            return (student.logits - teacher.logits).square().mean(dim=1)


    class Task(SingleLabel):
        pass


    class Kernel(AbstractKernel):
        def similarity(self, pairs):
            return -pairs.squared_distance()


    class Ring:
        def __init__(self, step: int = 1):
            self.step = step

        def __call__(self, features, batch=None):
            nodes = torch.arange(len(features))
            return Graph(torch.stack([nodes, nodes.roll(self.step)]), len(features))


    class Weigher(AbstractWeigher):
        def forward(self, student, teacher, step):
            return torch.ones(len(student.logits))
"""
RECIPE = """\
task = "own_of_mine:Task"
seeds = [0]

[dataset]
name = "own_of_mine:Data"

[teacher]
name = "own_of_mine:Net"
params = { width = 8 }
training = { epochs = 1 }

[student]
name = "own_of_mine:Net"

[training]
epochs = 1

[[methods]]
name = "own"

[[methods.terms]]
loss = "own_of_mine:Loss"
weigher = "own_of_mine:Weigher"

[[methods.terms]]
loss = "lsp"
student = "hidden"
teacher = "hidden"
params = { kernel = "own_of_mine:Kernel" }
graph = { name = "own_of_mine:Ring", step = 2 }
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder with the recipe and its module; the user is elsewhere."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "own_of_mine", raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "own_of_mine.py").write_text(dedent(CODE))
    (folder / "own.toml").write_text(RECIPE)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


def test_every_name_may_be_a_place_and_the_student_leaves(run: Run, project: Path) -> None:
    outcome = run("run", project / "own.toml", "--out", "done")
    assert outcome.status == 0, outcome.err
    code = json.loads(Path("done/environment.json").read_text())["code"]
    assert list(code) == ["own_of_mine"]
    sample = {"x": np.ones((5, 4), np.float32)}
    np.savez("sample.npz", **sample)
    answering = ("predict", "done", "--data", "sample.npz", "--out", "answers.csv")
    outcome = run(*answering)
    assert outcome.status == 2
    assert "is of the model 'own_of_mine:Net' of own_of_mine, which is no plugin's" in outcome.err
    assert run(*answering, "--code", project).status == 0
    student = gkd.load_student("done", "own", code=project)
    assert student(torch.ones(5, 4)).shape == (5, 3)
    assert run("evaluate", "done").status == 0  # its recipe names the folder of the code
    (project / "own_of_mine.py").write_text(dedent(CODE) + "\n# changed\n")
    outcome = run("run", "done/recipe.toml", "--out", "done", "--resume")
    assert outcome.status == 0, outcome.err
    assert "warning: changed since the run began: own_of_mine; networks that are" in outcome.out
    assert "finished before" in outcome.out


def test_widths_may_have_the_names_that_data_sets_give_them(run: Run, project: Path) -> None:
    (project / "wide_of_mine.py").write_text(
        "from torch import nn\n\n\n"
        "class Wide(nn.Linear):\n"
        "    inputs = ('x',)\n\n"
        "    def __init__(self, num_features: int, num_classes: int, bias: bool = True):\n"
        "        super().__init__(num_features, num_classes, bias)\n\n"
        "    def forward(self, x):\n"
        "        return super().forward(x)\n"
    )
    student = ("--set", "student.name=wide_of_mine:Wide", "--set", "methods=[]")
    outcome = run("recipes", "check", project / "own.toml", *student)
    assert (outcome.status, outcome.err) == (0, "")
    assert "student wide_of_mine:Wide of 15 parameters, 1 epochs" in outcome.rows


def test_widths_of_other_names_are_asked_for(run: Run, project: Path) -> None:
    (project / "odd_of_mine.py").write_text(
        "from torch import nn\n\n\n"
        "class Odd(nn.Linear):\n"
        "    def __init__(self, nfeat, nclass):\n"
        "        super().__init__(nfeat, nclass)\n"
    )
    outcome = run("recipes", "check", project / "own.toml", "--set", "student.name=odd_of_mine:Odd")
    assert outcome.status == 2
    assert (
        "student: model 'odd_of_mine:Odd' needs nfeat, nclass: give them in params; those called "
        "in_channels and out_channels get the numbers of features and outputs of the data, here 4 "
        "and 3"
    ) in outcome.err


def test_the_folder_may_be_named(run: Run, project: Path) -> None:
    shutil.move(project / "own_of_mine.py", "own_of_mine.py")
    outcome = run("recipes", "check", project / "own.toml", "--set", f"code={os.getcwd()}")
    assert outcome.status == 0, outcome.err


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('"own_of_mine:Data"', '"own_of_mien:Data"', 5, "there is no module 'own_of_mien'; did"),
        ("Net", "Nte", 8, "own_of_mine has no 'Nte'; did you mean 'Net'?"),
        ('"own_of_mine:Loss"', '"own_of_mine:Ring"', 22, "Ring is a class derived from object, no"),
    ],
)
def test_mistakes_are_at_their_lines(
    run: Run, project: Path, old: str, new: str, line: int, words: str
) -> None:
    (project / "own.toml").write_text(RECIPE.replace(old, new, 1))
    outcome = run("run", project / "own.toml", "--out", "none")
    assert (outcome.status, outcome.out) == (2, "")
    assert outcome.err.startswith(f"error: {project / 'own.toml'}:{line}: ")
    assert words in outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("nn.Linear(in_channels, width)", 'nn.Linear(in_channels, "four")', "TypeError: "),
        ("return self.out(self.hidden(x)", "return self.out(self.hiden(x)", "no attribute 'hiden'"),
    ],
    ids=["constructor", "forward"],
)
def test_what_own_code_raises_is_told_with_its_own_line(
    run: Run, project: Path, old: str, new: str, words: str
) -> None:
    code = dedent(CODE).replace(old, new, 1)
    (project / "own_of_mine.py").write_text(code)
    line = next(place for place, text in enumerate(code.splitlines(), 1) if new in text)
    outcome = run("recipes", "check", project / "own.toml")
    assert (outcome.status, outcome.out) == (2, "")
    assert words in outcome.err
    assert f"own_of_mine.py:{line}]" in outcome.err
    assert "Traceback" not in outcome.err
