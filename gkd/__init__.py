"""Distil graph neural networks: a teacher, a smaller student, and losses that are plugins.

>>> import gkd, torch
>>> loss = gkd.create("loss", "lsp", kernel="rbf")
>>> edges = torch.tensor([[1, 2, 2], [0, 0, 1]])
>>> graph = gkd.Graph(edges, num_nodes=3)
>>> wide, narrow = torch.randn(3, 64), torch.randn(3, 8, requires_grad=True)
>>> value = loss(
...     student=gkd.View(features=narrow, graph=graph), teacher=gkd.View(features=wide, graph=graph)
... )
>>> value.backward()
"""

from typing import TYPE_CHECKING

from gkd.errors import (
    DataError,
    GkdError,
    NonFiniteError,
    ParameterError,
    PluginError,
    RecipeError,
    TapError,
    UnknownNameError,
)

__version__ = "0.1.0"

__all__ = [
    "AbstractDataset",
    "AbstractKernel",
    "AbstractLoss",
    "AbstractWeigher",
    "Batch",
    "DataError",
    "Distiller",
    "GkdError",
    "Graph",
    "Host",
    "NeighbourLoader",
    "NonFiniteError",
    "Paper",
    "ParameterError",
    "PluginError",
    "RecipeError",
    "RowMemory",
    "Sample",
    "Step",
    "StepEvent",
    "StepReport",
    "TapError",
    "Task",
    "Term",
    "UnknownNameError",
    "View",
    "__version__",
    "collate",
    "create",
    "create_host",
    "hookimpl",
    "lazy_getattr",
    "load_student",
    "names",
]

# Nearly all public names need torch, whose import takes longer than most answers of the command
# line. So each is imported when it is first asked for (PEP 562). Type checkers and editors read
# the imports themselves, which also keeps them from taking a misspelt name for a lazy one.
if TYPE_CHECKING:
    from gkd.cache import teacher_cache as teacher_cache
    from gkd.data import AbstractDataset, Batch, NeighbourLoader, Sample, collate
    from gkd.data.task import Task
    from gkd.deployment.student import load_student
    from gkd.distillation import schedule as schedule
    from gkd.distillation import taps as taps
    from gkd.distillation.distiller import Distiller
    from gkd.distillation.row_memory import RowMemory
    from gkd.distillation.step_report import StepReport
    from gkd.distillation.term import Term
    from gkd.graph import Graph
    from gkd.hosting.hookspecs import StepEvent, hookimpl, lazy_getattr
    from gkd.hosting.host import Host, create, create_host, names
    from gkd.kernel import AbstractKernel
    from gkd.loss import AbstractLoss, AbstractWeigher, Paper, Step, View
else:
    from importlib import import_module
    from importlib.util import find_spec

    _MODULES = {
        "AbstractDataset": "gkd.data",
        "AbstractKernel": "gkd.kernel",
        "AbstractLoss": "gkd.loss",
        "AbstractWeigher": "gkd.loss",
        "Batch": "gkd.data",
        "Distiller": "gkd.distillation.distiller",
        "Graph": "gkd.graph",
        "Host": "gkd.hosting.host",
        "NeighbourLoader": "gkd.data",
        "Paper": "gkd.loss",
        "RowMemory": "gkd.distillation.row_memory",
        "Sample": "gkd.data",
        "Step": "gkd.loss",
        "StepEvent": "gkd.hosting.hookspecs",
        "StepReport": "gkd.distillation.step_report",
        "Task": "gkd.data.task",
        "Term": "gkd.distillation.term",
        "View": "gkd.loss",
        "collate": "gkd.data",
        "create": "gkd.hosting.host",
        "create_host": "gkd.hosting.host",
        "hookimpl": "gkd.hosting.hookspecs",
        "lazy_getattr": "gkd.hosting.hookspecs",
        "load_student": "gkd.deployment.student",
        "names": "gkd.hosting.host",
    }

    # Modules that documents call by a short path, gkd.taps, whatever room they are in.
    _SHORT_PATHS = {
        "schedule": "gkd.distillation.schedule",
        "taps": "gkd.distillation.taps",
        "teacher_cache": "gkd.cache.teacher_cache",
    }

    def __getattr__(name: str) -> object:
        """Import a public name, or a module such as ``gkd.functional``, when it is asked for."""
        if name in _MODULES:
            value = getattr(import_module(_MODULES[name]), name)
        elif name in _SHORT_PATHS:
            value = import_module(_SHORT_PATHS[name])
        elif not name.startswith("_") and find_spec(f"gkd.{name}"):
            value = import_module(f"gkd.{name}")
        else:
            raise AttributeError(f"module 'gkd' has no attribute {name!r}")
        globals()[name] = value  # the next access finds it without coming here
        return value

    def __dir__() -> list[str]:
        """List what is there, imported or not yet."""
        return sorted({*globals(), *__all__})
