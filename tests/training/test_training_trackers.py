"""Loggers by name: what they are made with and told, by fakes of those that are not installed."""

import importlib.util
from typing import Any, ClassVar

import pytest
from lightning.pytorch import loggers
from lightning.pytorch.loggers.logger import Logger

from gkd.errors import GkdError, ParameterError
from gkd.recipe.sections import LoggingRecipe
from gkd.training.trackers import require_installed

NAMES = {"tensorboard": "TensorBoardLogger", "wandb": "WandbLogger", "mlflow": "MLFlowLogger"}


class Fake(Logger):
    """A logger that remembers."""

    made: ClassVar[list["Fake"]] = []

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__()
        self.args, self.options, self.ended = args, options, 0
        self.settings: dict[str, Any] = {}
        self.rows: list[tuple[int | None, dict[str, float]]] = []
        self.made.append(self)

    @property
    def name(self) -> str:
        return "fake"

    @property
    def version(self) -> str:
        return "0"

    @property
    def experiment(self) -> "Fake":
        return self

    def finish(self) -> None:
        self.ended += 1

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        assert not self.rows
        self.settings = dict(params)

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        self.rows.append((step, metrics))


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> list[Fake]:
    """The loggers that are made from now on, all installed."""
    for name in NAMES.values():
        monkeypatch.setattr(loggers, name, Fake)
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: True if name in NAMES else find(name)
    )
    monkeypatch.setattr(Fake, "made", [])
    return Fake.made


def test_loggers_know_the_network_and_every_epoch(opened, fakes):
    run = opened("seeds=[0]", 'logging.to=["wandb"]', "logging.project=mine")
    run.train()
    teacher, baseline, mapped = fakes
    assert [one.ended for one in fakes] == [1, 1, 1]
    told = mapped.settings
    assert (told["network"], told["method"], told["seed"]) == ("student", "mapped", 0)
    assert (told["dataset"], told["student"], told["teacher"]) == ("blobs", *["perceptron"] * 2)
    assert (told["learning_rate"], told["epochs"]) == (0.05, 5)
    assert (teacher.settings["network"], teacher.settings["epochs"]) == ("teacher", 2)
    assert baseline.settings["method"] == "baseline"
    steps, rows = zip(*mapped.rows, strict=True)
    assert steps == (1, 2, 3, 4, 5)
    assert all({"loss", "weight/mapped", "validation/accuracy"} <= row.keys() for row in rows)
    assert mapped.options == {
        "project": "mine",
        "name": "run mapped seed 0",
        "group": "run",
        "id": "run-students-mapped-seed-0",
        "resume": "allow",
        "save_dir": run.directory.student("mapped", 0),
        "offline": True,
    }


def test_each_is_made_with_its_own_words(opened, fakes):
    run = opened(
        "seeds=[0]",
        'logging.to=["tensorboard", "mlflow"]',
        "training.epochs=1",
        "teacher.weights=x",
    )
    folder = run.directory.folder
    context = run.file.recipe.logging
    assert context is not None
    from gkd.training.trackers import Tracking

    tracking = Tracking(context, "run", folder)
    board, flow = tracking.loggers("lsp seed 0", folder / "students" / "lsp" / "seed-0")
    assert board.args == (folder / "students" / "lsp" / "seed-0",)
    assert board.options == {"name": "", "version": "tensorboard"}
    uri = f"sqlite:///{folder.resolve() / 'mlflow.db'}"
    assert (flow.options["experiment_name"], flow.options["tracking_uri"]) == ("gkd", uri)
    assert flow.options["tags"] == {"run": "run", "network": "run-students-lsp-seed-0"}
    online = Tracking(context.model_copy(update={"offline": False}), "run", folder)
    assert "tracking_uri" not in online.loggers("lsp", folder / "teacher")[1].options


def test_what_is_not_installed_is_told_before_training(opened, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if "mlflow" in name else find(name)
    )
    with pytest.raises(ParameterError, match=r"'mlflow' is not installed: pip install 'gkd\[mlf"):
        require_installed(LoggingRecipe(to=["mlflow"]))
    run = opened('logging.to=["mlflow"]')
    with pytest.raises(GkdError, match=r"--set logging.to=.*: logging.to: 'mlflow' is not install"):
        run.train()
    with pytest.raises(GkdError, match="did you mean 'wandb'"):
        opened('logging.to=["wandbb"]')


def test_another_place_of_curves_is_no_other_run(opened, fakes):
    opened("seeds=[0]", "training.epochs=1").train()
    opened("seeds=[0]", "training.epochs=1", 'logging.to=["wandb"]', resume=True).train()
    assert not fakes  # all networks were finished


def test_observers_are_told_of_which_network_a_step_is(opened, plugin):
    opened("seeds=[3]", "training.epochs=2").train()
    events = plugin.whole
    assert {(e.network, e.method, e.seed) for e in events} == {
        ("teacher", "teacher", 0),
        ("student", "baseline", 3),
        ("student", "mapped", 3),
    }
    of_method = [event for event in events if event.method == "mapped"]
    assert not of_method[0].validation
    assert set(of_method[-1].validation) >= {"accuracy", "loss"}
    line = str(of_method[-1].report)
    assert line.startswith("total ")
    assert "mapped " in line
    assert "tensor" not in line
