"""The hooks: what a plugin may implement, one function each.

A plugin is a module (or object) that an entry point of the group ``gkd`` names. It marks functions
with :data:`hookimpl`; a component hook returns a mapping from names to factories, or to where they
are imported from when they are first used: ``"module:object"``. A plugin that imports nothing large
by itself does not slow down the commands that use none of its components.

>>> @hookimpl
... def gkd_losses():
...     return {"mine": MyLoss}  # used as gkd.create("loss", "mine")
"""

import pkgutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from torch import nn

    from gkd.data import AbstractDataset
    from gkd.data.task import Task
    from gkd.distillation.step_report import StepReport
    from gkd.graph import Graph
    from gkd.kernel import AbstractKernel
    from gkd.loss import AbstractLoss, AbstractWeigher

PROJECT = "gkd"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


def lazy_getattr(module: str, *hooks: Callable[[], Mapping[str, str]]) -> Callable[[str], Any]:
    """Return a plugin's ``__getattr__`` (PEP 562): the classes that it offers are its attributes.

    So ``from gkd_mine import MyLoss`` works, and imports ``gkd_mine.my_loss`` only then.

    Args:
        module: ``__name__`` of the plugin.
        hooks: its own, which return places, ``"gkd_mine.my_loss:MyLoss"``.

    >>> getattr_of_module = lazy_getattr("gkd_mine", lambda: {"mine": "collections:Counter"})
    >>> getattr_of_module("Counter")
    <class 'collections.Counter'>
    """

    def __getattr__(name: str) -> Any:
        places = {place.rpartition(":")[2]: place for hook in hooks for place in hook().values()}
        if name not in places:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        return pkgutil.resolve_name(places[name])

    return __getattr__


@dataclass(frozen=True, slots=True)
class StepEvent:
    """One finished training step, as observers see it.

    Args:
        epoch: number of completed epochs, 0 in the first; what a run prints and records counts
            epochs from 1: ``event.epoch + 1``.
        step: number of completed optimiser steps over the whole training, from 0.
        report: the step's loss, its terms and the weights of these.
        network: ``"teacher"`` or ``"student"``.
        method: that trains it; a teacher's is ``"teacher"``.
        seed: of its training.
        validation: the newest scores on the validation split, by metric, and the ``loss`` there;
            empty until the first.
    """

    epoch: int
    step: int
    report: "StepReport"
    network: str = ""
    method: str = ""
    seed: int | None = None
    validation: Mapping[str, float] = field(default_factory=dict)


@hookspec
def gkd_losses() -> "Mapping[str, Callable[..., AbstractLoss] | str]":  # type: ignore[empty-body]
    """Return distillation losses by name."""


@hookspec
def gkd_kernels() -> "Mapping[str, Callable[..., AbstractKernel] | str]":  # type: ignore[empty-body]
    """Return kernels, similarities of the two ends of an edge, by name."""


@hookspec
def gkd_graph_builders() -> "Mapping[str, Callable[..., Callable[..., Graph]] | str]":  # type: ignore[empty-body]
    """Return graph builders, ``(features, batch) -> Graph``, by name."""


@hookspec
def gkd_models() -> "Mapping[str, Callable[..., nn.Module] | str]":  # type: ignore[empty-body]
    """Return models by name; the first parameters are ``in_channels`` and ``out_channels``."""


@hookspec
def gkd_datasets() -> "Mapping[str, Callable[..., AbstractDataset] | str]":  # type: ignore[empty-body]
    """Return datasets by name."""


@hookspec
def gkd_tasks() -> "Mapping[str, Callable[..., Task] | str]":  # type: ignore[empty-body]
    """Return tasks, what labels and outputs mean and how networks are scored, by name."""


@hookspec
def gkd_weighers() -> "Mapping[str, Callable[..., AbstractWeigher] | str]":  # type: ignore[empty-body]
    """Return weighers, weights for the rows of a term, by name."""


@hookspec
def gkd_step(event: StepEvent) -> None:
    """Observe a finished training step; an observer that raises is reported and disabled."""
