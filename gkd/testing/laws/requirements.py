"""What laws require: equal results, finite numbers, right gradients, bounded memory."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache

import torch
from torch import Tensor
from torch.autograd.gradcheck import GradcheckError, gradcheck

from gkd.graph import Graph
from gkd.testing.memory_watch import MemoryWatch
from gkd.testing.work_watch import WorkWatch

# The graph on which memory is counted.
NODES, WIDTH, EDGES = 2048, 128, 32768
# Two ways into node 3, from which nothing leads on; and one more, from node 0, which others have
# edges from.
_EDGES = ((0, 1), (2, 1), (4, 1), (0, 2), (4, 2), (5, 3), (6, 3), (6, 5), (6, 0), (7, 0), (1, 2))
FEW_EDGES = Graph(torch.tensor(_EDGES).t(), 8)
ONE_MORE_EDGE = Graph(torch.tensor([*_EDGES, (0, 3)]).t(), 8)
# Work in blocks is fine, however large the graph: this many numbers at a time.
BLOCK = 2**21


def require(holds: bool, message: str) -> None:
    """Raise :class:`AssertionError` with ``message`` unless ``holds``.

    An ``assert`` would not be there under ``python -O``.
    """
    if not holds:
        raise AssertionError(message)


def require_close(
    result: Tensor, expected: Tensor, what: str, rtol: float = 1e-6, atol: float = 1e-7
) -> None:
    """Require float64 tensors to agree to within what reordering sums may change."""
    require(
        result.shape == expected.shape,
        f"{what}: the shape is {list(result.shape)} instead of {list(expected.shape)}",
    )
    if torch.allclose(result, expected, rtol=rtol, atol=atol, equal_nan=True):
        return
    if result.numel() == 1:
        raise AssertionError(f"{what}: {expected.item():.10g} becomes {result.item():.10g}")
    gap = (result - expected).abs().max().item()
    raise AssertionError(f"{what}: values differ by up to {gap:.4g}")


def require_finite(tensor: Tensor | None, what: str) -> None:
    """Require that there is a tensor, and neither NaN nor infinity in it."""
    if tensor is None:
        raise AssertionError(f"{what} does not exist")
    if bool(torch.isfinite(tensor).all()):
        return
    kind = "NaN" if bool(torch.isnan(tensor).any()) else "infinity"
    raise AssertionError(f"{what} contains {kind}")


def require_unmodified(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> None:
    """Require that tensors hold what they held."""
    for name, tensor in before.items():
        require(torch.equal(tensor, after[name]), f"{name} was modified in place")


def require_right_gradient(function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> None:
    """Require that the gradient of ``function`` at float64 ``inputs`` is its slope.

    Raises:
        AssertionError: it is not; says what gradcheck says. Or it computes in fewer digits, in
            which slopes cannot be compared.
    """
    # In float64 a step of 1e-6 leaves ten digits of the difference. A wrong gradient is off by far
    # more than a thousandth; sums in another order are not.
    leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    result = function(*leaves)
    require(
        result.dtype == torch.float64,
        f"of float64 it makes {result.dtype}, too few digits to compare slopes in: where half "
        "precision is too short, convert to torch.promote_types(x.dtype, torch.float32) instead",
    )
    try:
        gradcheck(function, leaves, eps=1e-6, atol=1e-5, rtol=1e-3, nondet_tol=1e-9)
    except GradcheckError as error:
        message = " ".join(str(error).split())
        raise AssertionError(f"gradcheck: {message}") from error


@cache
def random_graph(nodes: int = NODES, edges: int = EDGES) -> Graph:
    """Return a graph with many more edges than nodes."""
    random = torch.Generator().manual_seed(0)
    return Graph(torch.randint(nodes, (2, edges), generator=random), nodes)


def require_bounded(watch: MemoryWatch, setting: str, needed: int = 0) -> None:
    """Require that no tensor exceeded a block, or what is ``needed`` in this ``setting``."""
    # Counted in numbers and not in bytes, so that float64 where it is needed breaks no law.
    limit = max(BLOCK, needed)
    require(
        watch.elements <= limit,
        f"{setting}, {watch.description}: {watch.elements} numbers at a time, where {limit} do; "
        "a component that cannot do with less declares bounded_memory = False",
    )


def work_graph(nodes: int) -> Graph:
    """Return the graph of this many nodes on which work is counted."""
    return random_graph(nodes, 4 * nodes)


def require_linear(work: Callable[[int], WorkWatch]) -> None:
    """Require that what is computed for a number of nodes grows in proportion to it.

    Args:
        work: returns what was counted for that many nodes, and in proportion as many edges.
    """
    nodes = 256
    few, many = work(nodes), work(4 * nodes)
    growth = many.work / max(1, few.work)
    # Of a matrix of all pairs it is 16.
    require(
        growth <= 6,
        f"with {4 * nodes} instead of {nodes} nodes, and edges in proportion, it computes "
        f"{growth:.1f} times as much; most where {many.largest}; a component that looks at all "
        "pairs declares linear_work = False",
    )
