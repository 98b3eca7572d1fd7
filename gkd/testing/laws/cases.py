"""Problems with what a law does to them; dataclasses, so that a failure shows both."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from torch import Tensor

from gkd.errors import GkdError
from gkd.testing.laws.requirements import require
from gkd.testing.strategies.graphs import relabellings

Problem = TypeVar("Problem")

HALVES = st.sampled_from([torch.bfloat16, torch.float16])
FULLS = st.sampled_from([torch.float32, torch.float64])
# Of features of about 1: small ones, and such whose squares float16 cannot hold.
SCALES = st.sampled_from([0.125, 100.0])


@dataclass(frozen=True)
class Reordered(Generic[Problem]):
    """A problem, and another way to write its edges down.

    Attributes:
        problem: on a graph.
        edge_index: the same edges in another order, not contiguous in memory.
    """

    problem: Problem
    edge_index: Tensor


@dataclass(frozen=True)
class Relabelled(Generic[Problem]):
    """A problem, and another order of its nodes.

    Attributes:
        problem: over some nodes.
        order: int64 ``[N]``; the n-th node was ``order[n]``. Nodes stay within their sample.
    """

    problem: Problem
    order: Tensor


@dataclass(frozen=True)
class Chosen(Generic[Problem]):
    """A problem, and the rows of it that count.

    Attributes:
        problem: over some nodes.
        rows: int64 ``[M]``, ascending.
    """

    problem: Problem
    rows: Tensor


@dataclass(frozen=True)
class Lacking(Generic[Problem]):
    """A problem whose views, or whose step, lack a part.

    Attributes:
        missing: the part.
        problem: without it.
    """

    missing: str
    problem: Problem


def is_explained(missing: str, call: Callable[[], object]) -> bool:
    """Whether ``call`` ends with an error that names the part that is missing; not if it ends well.

    Raises:
        AssertionError: it ends with any other.
    """
    try:
        call()
    except Exception as error:
        # The engine has words for what a loss does not explain; called by itself it has none.
        cause = error.__cause__
        unexplained = cause if isinstance(cause, AttributeError | TypeError) else error
        if isinstance(unexplained, GkdError):
            require(
                missing in str(error), f"without {missing} the message does not name it: {error}"
            )
            return True
        where = "Step" if missing == "labels" else "View"
        raise AssertionError(
            f"without {missing} it raises {type(unexplained).__name__} ({unexplained}); "
            f"{where}.require_{missing} explains it"
        ) from error
    return False


@dataclass(frozen=True)
class InPrecision(Generic[Problem]):
    """A problem to be looked at in some precision.

    Attributes:
        problem: in float64.
        dtype: to cast it to.
        scale: to multiply its numbers with before.
    """

    problem: Problem
    dtype: torch.dtype
    scale: float = 1.0

    def cast(self, tensor: Tensor) -> Tensor:
        """Return a tensor of the problem as the component gets it."""
        return (tensor * self.scale).to(self.dtype)


@st.composite
def edge_reorderings(
    draw: st.DrawFn,
    problems: SearchStrategy[Problem],
    edges_of: Callable[[Problem], Tensor],
    repeat: bool = True,
) -> Reordered[Problem]:
    """Draw a problem, and its edges in another order, not contiguous in memory.

    Args:
        draw: given by hypothesis.
        problems: to choose from.
        edges_of: the edges of a problem, int64 ``[2, E]``.
        repeat: whether some may be listed twice.
    """
    problem = draw(problems)
    edges = edges_of(problem).t().tolist()
    shuffled = draw(st.permutations(edges))
    repeated = draw(st.lists(st.sampled_from(edges), max_size=2)) if edges and repeat else []
    # Transposed last: what takes memory order for edge order is to fail here.
    edge_index = torch.tensor([*shuffled, *repeated], dtype=torch.int64).reshape(-1, 2).t()
    return Reordered(problem, edge_index)


@st.composite
def node_relabellings(
    draw: st.DrawFn,
    problems: SearchStrategy[Problem],
    nodes_of: Callable[[Problem], tuple[int, Tensor | None]],
) -> Relabelled[Problem]:
    """Draw a problem, and another order of its nodes.

    Args:
        draw: given by hypothesis.
        problems: to choose from.
        nodes_of: how many nodes a problem has, and the sample of each (None: there is one).
    """
    problem = draw(problems)
    return Relabelled(problem, draw(relabellings(*nodes_of(problem))))


def in_precision(
    problems: SearchStrategy[Problem],
    dtypes: SearchStrategy[torch.dtype],
    scales: SearchStrategy[float] = st.just(1.0),  # noqa: B008  strategies hold no state
) -> SearchStrategy[InPrecision[Problem]]:
    """Draw a problem, and a precision to look at it in."""
    return st.builds(InPrecision, problems, dtypes, scales)
