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

from gkd.data import AbstractDataset, Batch, Sample, collate
from gkd.distillation.distiller import Distiller
from gkd.distillation.step_report import StepReport
from gkd.distillation.task import Task
from gkd.distillation.term import Term
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
from gkd.graph import Graph
from gkd.hosting.catalog import create, names
from gkd.hosting.hookspecs import StepEvent, hookimpl
from gkd.hosting.host import Host, create_host
from gkd.kernel import AbstractKernel
from gkd.loss import AbstractLoss, View

__version__ = "0.1.0"

__all__ = [
    "AbstractDataset",
    "AbstractKernel",
    "AbstractLoss",
    "Batch",
    "DataError",
    "Distiller",
    "GkdError",
    "Graph",
    "Host",
    "NonFiniteError",
    "ParameterError",
    "PluginError",
    "RecipeError",
    "Sample",
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
    "names",
]
