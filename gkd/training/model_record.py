"""What rebuilds a network from its weights alone: it stands in their file."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import metadata
from typing import Any

from pydantic import BaseModel, Field, JsonValue, ValidationError
from torch import Tensor, nn

from gkd.data import Sample
from gkd.data.batch_attributes import tensors
from gkd.distillation.inputs import WHOLE, NetworkInputs
from gkd.errors import DataError, mistakes

NODES, EDGES = "nodes", "edges"
"""Sizes of an array that differ from sample to sample."""


class Array(BaseModel):
    """One input of a network.

    Args:
        dtype: such as ``"float32"``.
        shape: sizes; ``"nodes"`` and ``"edges"`` where they are the sample's.
    """

    dtype: str
    shape: list[int | str]


class ModelRecord(BaseModel):
    """A network's component, what it was made with, what it is called with, what its outputs mean.

    Args:
        gkd: version that wrote it.
        model: name of the component.
        distribution: that provides it, with its version.
        params: that it was made with, the widths among them.
        inputs: attributes that it is called with, as :class:`NetworkInputs` takes them.
        logits: where they are in what it returns.
        edges_per_pass: edges of a graph that its layers work on at a time; None for all.
        task: name of the task, or a table of its name and parameters; None of an object.
        arrays: what it is called with for one sample, by attribute; of a network that takes the
            whole batch, all that a sample has.
        nodes: of the sample that these were read from.
    """

    gkd: str = Field(default_factory=lambda: metadata.version("gkd"))
    model: str
    distribution: str = ""
    params: dict[str, JsonValue] = {}
    inputs: str | list[str] | dict[str, str]
    logits: str = ""
    edges_per_pass: int | None = None
    task: JsonValue = None
    arrays: dict[str, Array] = {}
    nodes: int = 0

    @classmethod
    def read(cls, content: Mapping[str, Any], where: str) -> ModelRecord:
        """Return the record of a file.

        Raises:
            DataError: it is none; the message begins with ``where``.
        """
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            place, sentence = next(mistakes(error, cls))
            raise DataError(f"{where}: {'.'.join(map(str, place))}: {sentence}") from error


def arrays_of(network: nn.Module, inputs: Any, sample: Sample) -> dict[str, Array]:
    """Return what a network is called with for one sample, by attribute.

    Of a network that takes the whole batch, that is all that the sample has.
    """
    given = NetworkInputs(inputs, network, "network").attributes
    names = tuple(tensors(sample)) if inputs == WHOLE else given
    edges = sample.edge_index.shape[1] if "edge_index" in sample else None
    arrays = {}
    for name in names:
        if name not in sample:  # a batch vector, or what the network can do without
            continue
        tensor: Tensor = getattr(sample, name)
        shape: list[int | str] = list(tensor.shape)
        if name == "edge_index":
            shape = [2, EDGES]
        elif shape and shape[0] == sample.num_nodes:
            shape[0] = NODES
        elif shape and shape[0] == edges:
            shape[0] = EDGES
        arrays[name] = Array(dtype=str(tensor.dtype).removeprefix("torch."), shape=shape)
    return arrays
