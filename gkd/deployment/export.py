"""Networks as programs that run without gkd: torch.export's, ONNX's."""

from __future__ import annotations

import io
import logging
import math
import shutil
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Literal, TypeAlias

import torch
from torch import Tensor, nn

from gkd.deployment.arrays import OneGraph, random_arrays, required_arrays
from gkd.deployment.student import load_network
from gkd.distillation.inputs import WHOLE, NetworkInputs
from gkd.distillation.logits import logits_of
from gkd.errors import GkdError, ParameterError
from gkd.errors.causes import first_line, raised_at
from gkd.files import write_atomically
from gkd.training.model_record import NODES, Array, ModelRecord

Format: TypeAlias = Literal["torch-export", "onnx", "safetensors"]
SUFFIXES: Mapping[str, str] = {
    "torch-export": ".pt2",
    "onnx": ".onnx",
    "safetensors": ".safetensors",
}
OUTPUT = "outputs"
"""Name of what an ONNX program gives."""

TRIALS = 20
"""Sizes on which a program is compared with its network."""

TOLERANCE = 1e-5
"""Largest difference, relative to the largest output where that is above 1."""

_TRACED_NODES, _TRACED_EDGES = 64, 300


class ExportError(GkdError):
    """A network cannot be exported, or its program gives something else."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: of the file.
        inputs: names of the program's inputs, in order.
        largest_error: over :data:`TRIALS` other sizes, relative to the largest output; None where
            nothing was run.
    """

    path: Path
    inputs: tuple[str, ...]
    largest_error: float | None


class ByName(nn.Module):
    """A network that is called with its inputs in order, and gives its logits alone.

    One that insists on a batch vector, ``forward(self, x, edge_index, batch)``, gets that of one
    graph: zeros, and None while it is exported, as PyTorch Geometric has it.
    """

    def __init__(
        self, network: nn.Module, record: ModelRecord, arrays: Mapping[str, Array]
    ) -> None:
        super().__init__()
        self.network, self.names, self.place = network, tuple(arrays), record.logits
        self._inputs = NetworkInputs(record.inputs, network, record.model)
        self._whole = record.inputs == WHOLE
        of_nodes = [name for name, array in arrays.items() if array.shape[:1] == [NODES]]
        asks = self._whole or "batch" in self._inputs.required
        counted = asks and "batch" not in self.names and of_nodes
        self._counted = self.names.index(of_nodes[0]) if counted else None

    def forward(self, *values: Tensor) -> Tensor:
        """Return the logits."""
        arrays = dict(zip(self.names, values, strict=True))
        exporting = torch.compiler.is_exporting()  # where how many graphs there are is no number
        one_graph = None
        if self._counted is not None:
            nodes = values[self._counted]
            one_graph = nodes.new_zeros(nodes.shape[0], dtype=torch.int64)
        if self._whole:
            returned = self.network(OneGraph(arrays, None if exporting else one_graph))
            return logits_of(returned, self.place, "network")
        batch = SimpleNamespace(**arrays)
        if one_graph is not None:
            batch.batch = one_graph
        arguments = self._inputs.arguments(batch)
        positional, named = list(arguments.positional), dict(arguments.named)
        if exporting and one_graph is not None:
            positional = [None if value is one_graph else value for value in positional]
            named = {name: None if v is one_graph else v for name, v in named.items()}
        returned = self.network(*positional, **named)
        return logits_of(returned, self.place, "network")


def export_network(weights: Path, form: Format, out: Path, code: Path | None = None) -> Exported:
    """Write a network as a program for any number of nodes and edges, compared with it.

    Args:
        weights: file of the network, as a run leaves it.
        form: ``"torch-export"``, which torch runs; ``"onnx"``, which ONNX Runtime and others run;
            ``"safetensors"``, the weights with what rebuilds the network in gkd.
        out: file to write.
        code: folder with the module of a model of one's own.

    Raises:
        ExportError: the network cannot be traced, or the program gives something else.
        ParameterError: a package is missing, or nobody knows what the network is called with.
        DataError: the weights cannot be read.
    """
    network, record = load_network(weights, code)
    out.parent.mkdir(parents=True, exist_ok=True)
    if form == "safetensors":
        write_atomically(out, lambda partial: shutil.copyfile(weights, partial))
        return Exported(out, tuple(record.arrays), None)
    arrays = required_arrays(network, record)
    called = ByName(network, record, arrays).eval()
    program = _traced(called, record, arrays)
    what = f"{record.model}: the program in {form}"
    errors = []

    def write(partial: Path) -> None:
        with _quiet():
            _WRITERS[form](program, arrays, partial)
        try:
            with _quiet():
                run = _RUNNERS[form](partial)
            errors.append(_largest_error(called, run, arrays, _fewest_nodes(program)))
        except Exception as failure:  # of whatever runs programs, anything
            raise ExportError(
                f"{what} does not run: {_first_line(failure)}: nothing was written"
            ) from failure
        if not errors[0] <= TOLERANCE:
            raise ExportError(
                f"{what} differs from the network by {errors[0]:.1e} of the largest output, more "
                f"than {TOLERANCE:.0e}: nothing was written"
            )

    write_atomically(out, write)  # compared before it takes the place of what was there
    return Exported(out, tuple(arrays), errors[0])


def _first_line(error: Exception) -> str:
    return first_line(str(error))[:300]


def _traced(
    called: ByName, record: ModelRecord, arrays: Mapping[str, Array]
) -> torch.export.ExportedProgram:
    free = torch.export.Dim.DYNAMIC
    # As many as the network was trained with: it may need some, as the nearest neighbours do.
    nodes = max(_TRACED_NODES, min(record.nodes, 16 * _TRACED_NODES))
    example = random_arrays(arrays, nodes, _TRACED_EDGES, torch.Generator().manual_seed(0))
    shapes = tuple(
        {axis: free for axis, size in enumerate(array.shape) if isinstance(size, str)}
        for array in arrays.values()
    )
    try:
        # Of a network that cannot be exported torch prints the whole program.
        with _quiet(), torch.no_grad(), redirect_stderr(io.StringIO()):
            return torch.export.export(called, tuple(example.values()), dynamic_shapes=(shapes,))
    except Exception as error:
        raise ExportError(
            f"{record.model} cannot be exported for free numbers of nodes and edges: "
            f"{type(error).__name__}: {_first_line(error)} [{raised_at(error)}]; a network is "
            "exported where it computes with operators of torch and functions of gkd.functional, "
            "and takes no numbers out of tensors, as int(batch.max()) does"
        ) from error


def _fewest_nodes(program: torch.export.ExportedProgram) -> int:
    """Return how many nodes the program needs, as far as torch has found it."""
    lowest = [int(bounds.lower) for bounds in program.range_constraints.values()]
    return max([2, *lowest])


Run: TypeAlias = Callable[[Mapping[str, Tensor]], Tensor]


def _largest_error(called: nn.Module, run: Run, arrays: Mapping[str, Array], fewest: int) -> float:
    generator, worst = torch.Generator().manual_seed(1), 0.0
    for trial in range(TRIALS):
        nodes = fewest + trial**2
        inputs = random_arrays(arrays, nodes, fewest + 7 * nodes * trial // TRIALS, generator)
        with torch.no_grad():
            expected = called(*inputs.values()).double()
        found = run(inputs).double()
        if found.shape != expected.shape:
            return torch.inf
        scale = max(1.0, float(expected.abs().max())) if expected.numel() else 1.0
        error = float((found - expected).abs().max()) / scale
        if math.isnan(error):  # which no number is larger than
            return error
        worst = max(worst, error)
    return worst


def _write_program(
    program: torch.export.ExportedProgram, arrays: Mapping[str, Array], path: Path
) -> None:
    with path.open("wb") as file:
        torch.export.save(program, file)


def _write_onnx(
    program: torch.export.ExportedProgram, arrays: Mapping[str, Array], path: Path
) -> None:
    _require("onnx", "onnxscript", "onnxruntime")
    axes = tuple(
        {axis: size for axis, size in enumerate(array.shape) if isinstance(size, str)}
        for array in arrays.values()
    )
    try:
        made = torch.onnx.export(
            program,
            (),
            input_names=list(arrays),
            output_names=[OUTPUT],
            dynamic_shapes=(axes,),  # what the free axes are called
            dynamo=True,
            verbose=False,
        )
    except Exception as error:
        raise ExportError(f"ONNX has no form of this network: {_first_line(error)}") from error
    assert made is not None
    made.save(str(path))


def _run_program(path: Path) -> Run:
    with path.open("rb") as file:
        module = torch.export.load(file).module()

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        with torch.no_grad():
            result: Tensor = module(*inputs.values())
        return result

    return run


def _run_onnx(path: Path) -> Run:
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])

    def run(inputs: Mapping[str, Tensor]) -> Tensor:
        (outputs,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        return torch.from_numpy(outputs)

    return run


_WRITERS: Mapping[
    str, Callable[[torch.export.ExportedProgram, Mapping[str, Array], Path], None]
] = {
    "torch-export": _write_program,
    "onnx": _write_onnx,
}
_RUNNERS: Mapping[str, Callable[[Path], Run]] = {
    "torch-export": _run_program,
    "onnx": _run_onnx,
}


def _require(*packages: str) -> None:
    from importlib.util import find_spec

    missing = [name for name in packages if find_spec(name) is None]
    if missing:
        raise ParameterError(f"to write ONNX needs {', '.join(missing)}: pip install 'gkd[export]'")


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence what exporters say of themselves."""
    names = ("torch.onnx", "torch.fx", "onnxscript", "onnx_ir")
    loggers = [logging.getLogger(name) for name in names]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
