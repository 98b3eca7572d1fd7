"""Lightning's loggers by name: where the curves of a run go beside its own files."""

import importlib.util
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from gkd.errors import ParameterError
from gkd.recipe.sections import LoggingRecipe

_PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",)}
_PACKAGES |= {"mlflow": ("mlflow", "mlflow_skinny")}


@dataclass(frozen=True)
class Tracking:
    """What a recipe asks to be told elsewhere, and where a network of it is.

    Args:
        recipe: ``[logging]``.
        run: name of the run's folder, which groups its networks.
        folder: of the run.
        settings: what is the same for all networks.
    """

    recipe: LoggingRecipe
    run: str
    folder: Path
    settings: Mapping[str, Any] = field(default_factory=dict)

    def loggers(self, title: str, folder: Path) -> list[Logger]:
        """Return the loggers of a network.

        Args:
            title: of the network.
            folder: of the network.
        """
        return [_MAKERS[name](_Place(self, title, folder)) for name in self.recipe.to]


def require_installed(recipe: LoggingRecipe) -> None:
    """Make sure that what a recipe names is installed.

    Raises:
        ParameterError: something is not; the message says how to install it.
    """
    for name in recipe.to:
        if not any(importlib.util.find_spec(package) for package in _PACKAGES[name]):
            raise ParameterError(f"{name!r} is not installed: pip install 'gkd[{name}]'")


@contextmanager
def ended(loggers: Sequence[Logger]) -> Iterator[None]:
    """End what loggers have begun in the process: the next network would be written into it."""
    try:
        yield
    finally:
        for logger in loggers:
            end = getattr(getattr(logger, "experiment", None), "finish", None)  # as W&B's have
            if callable(end):
                end()


@dataclass(frozen=True)
class _Place:
    """Where a network is told of."""

    tracking: Tracking
    title: str
    folder: Path

    @property
    def key(self) -> str:
        """Name by which a network that is gone on with is found again."""
        parts = self.folder.relative_to(self.tracking.folder).parts
        return "-".join((self.tracking.run, *parts))


def _tensorboard(place: _Place) -> Logger:
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(place.folder, name="", version="tensorboard")


def _wandb(place: _Place) -> Logger:
    from lightning.pytorch.loggers import WandbLogger

    tracking = place.tracking
    return WandbLogger(
        project=tracking.recipe.project,
        name=f"{tracking.run} {place.title}",
        group=tracking.run,
        id=place.key,
        resume="allow",
        save_dir=place.folder,
        offline=tracking.recipe.offline,
    )


def _mlflow(place: _Place) -> Logger:
    from lightning.pytorch.loggers import MLFlowLogger

    tracking = place.tracking
    # Where it may leave the machine, its own environment variables say where to.
    own: dict[str, Any] = {"tracking_uri": f"sqlite:///{tracking.folder.resolve() / 'mlflow.db'}"}
    return MLFlowLogger(
        experiment_name=tracking.recipe.project,
        run_name=f"{tracking.run} {place.title}",
        tags={"run": tracking.run, "network": place.key},
        **(own if tracking.recipe.offline else {}),
    )


_MAKERS: dict[str, Callable[[_Place], Logger]] = {
    "tensorboard": _tensorboard,
    "wandb": _wandb,
    "mlflow": _mlflow,
}
