"""What a kernel needs to know of the two ends of every edge, in O(E + N·F) memory."""

from collections.abc import Callable
from functools import cached_property
from math import isfinite

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from gkd.errors import ParameterError
from gkd.functional import edge_loops
from gkd.functional.edge_distances import edge_squared_distance
from gkd.functional.edge_l1_distances import edge_l1_distance
from gkd.functional.edge_products import edge_dot
from gkd.functional.segments import segment_sum, spread
from gkd.graph import Graph

# Absolute error of a logit. A loss has differences of logits in it, and gradients right to 1e-4
# were measured up to five times this value.
RESOLUTION = 2e-5
# Of float32, for float64 too: such features are centred in the same circumstances.
_EPSILON = torch.finfo(torch.float32).eps
_GATHERED_ELEMENTS = 2**17  # at a time, of each end: 512 kB in float32


class EdgePairs:
    r"""The pairs :math:`(z_i, z_j)` at the two ends of every edge :math:`j \to i`.

    Dot products and distances carry a round-off proportional to the largest squared norm. Where
    this exceeds what a kernel tolerates, they are computed, and returned, in float64.

    Args:
        features: ``z``, ``[N, F]``; half precision is raised to float32.
        graph: E edges over N nodes.

    Raises:
        ParameterError: ``features`` is not a floating-point ``[N, F]`` with the graph's N.

    >>> graph = Graph(torch.tensor([[1], [0]]), num_nodes=2)
    >>> pairs = EdgePairs(torch.tensor([[0.0, 1.0], [3.0, 5.0]]), graph)
    >>> pairs.dot(), pairs.squared_distance()
    (tensor([5.]), tensor([25.]))
    """

    def __init__(self, features: Tensor, graph: Graph) -> None:
        if not features.is_floating_point() or features.dim() != 2:
            raise ParameterError(
                "a kernel compares floating-point features of shape [N, F], got "
                f"{features.dtype} of shape {list(features.shape)}"
            )
        if len(features) != graph.num_nodes:
            raise ParameterError(
                f"a kernel needs one row of features per node: got {len(features)} rows for {graph}"
            )
        # A square of bfloat16 has two digits, one of float16 overflows from 256 on.
        self.features = features.to(torch.promote_types(features.dtype, torch.float32))
        self.graph = graph
        # A kernel may ask again with another tolerance, as for a bandwidth from the data.
        self._squares: dict[str, Tensor] = {}

    def largest_squared_norm(self) -> float:
        """Largest ``‖z_i‖²``; 0 when there are no nodes."""
        return self._largest_squared_norm

    @cached_property
    def _largest_squared_norm(self) -> float:
        return _largest_squared_norm(self.features)

    def dot(self, tolerance: float = RESOLUTION) -> Tensor:
        """Dot products ``z_i · z_j``, ``[E]``, with a round-off of at most ``tolerance``."""
        # No shift helps here, as it does for distances: dot products depend on the origin.
        features = self.features
        if self.largest_squared_norm() * _EPSILON > tolerance:
            features = features.double()
        return edge_dot(features, features, self.graph)

    def squared_distance(self, tolerance: float = RESOLUTION, relative: float = 0.0) -> Tensor:
        """Squared distances ``‖z_i − z_j‖²``, ``[E]``, with a round-off of at most ``tolerance``.

        Never negative, and exactly 0 on self-loops.

        Args:
            tolerance: round-off that is always allowed.
            relative: round-off that is allowed beside it, as a share of the distance: 0 for none.
        """
        # Compiled loops subtract the ends, whose norms then do not matter, but for squares outside
        # the range of the dtype.
        least = self.features.shape[1] * torch.finfo(self.features.dtype).tiny
        if relative >= edge_loops.rounding(self.features) and tolerance >= least:
            squares = self._squared_distance("given")
            # One pass, forty times as fast as to look at each; where the sum alone overflows, the
            # forms below are as good.
            if isfinite(float(squares.detach().sum())):
                return squares
        # The cheapest that is good enough: as they are; relative to the mean feature, which changes
        # no distance but shrinks the norms that round-off comes from; the same in float64.
        if self.largest_squared_norm() * _EPSILON <= tolerance:
            form = "given"
        elif _largest_squared_norm(self._centred) * _EPSILON <= tolerance:
            form = "centred"
        else:
            form = "precise"
        return self._squared_distance(form)

    def _squared_distance(self, form: str) -> Tensor:
        if form not in self._squares:
            features = self.features if form == "given" else self._centred
            if form == "precise":
                # Converted, then centred: a difference in float32 would have lost the digits.
                features = self.features.double()
                features = features - features.detach().mean(dim=0)
            self._squares[form] = edge_squared_distance(features, self.graph)
        return self._squares[form]

    @cached_property
    def _centred(self) -> Tensor:
        # The mean needs no gradient, as distances do not depend on it.
        return self.features - self.features.detach().mean(dim=0)

    def rounding(self) -> float:
        """Largest squared distance that rounding can make of equal rows.

        The distance of F features in float64 is off by less than 4·F·ε of the largest squared norm
        about the mean. The features, too, come from sums that their own dtype rounded: equal rows
        may differ by ε of their norm in each of F places. Either is relative to the features, so
        that their scale does not matter.

        >>> pairs = EdgePairs(torch.tensor([[1.0], [1.0]]), Graph(torch.tensor([[1], [0]]), 2))
        >>> 1e-14 < pairs.rounding() < 1e-12
        True
        """
        return self._rounding(_largest_squared_norm(self._centred))

    def exceeds_rounding(self, square: float) -> bool:
        """Whether ``square`` is more than :meth:`rounding`, mostly without a pass to find that."""
        # Norms about the mean are at most twice the others, which are there already.
        at_most = self._rounding(4 * self.largest_squared_norm())
        return square > at_most or square > self.rounding()

    def _rounding(self, centred_squared_norm: float) -> float:
        of_features = torch.finfo(self.features.dtype).eps ** 2 * self.largest_squared_norm()
        of_sums = torch.finfo(torch.float64).eps * centred_squared_norm
        return 4 * self.features.shape[1] * (of_features + of_sums)

    def l1_distance(self) -> Tensor:
        """Distances ``Σ_c |z_ic − z_jc|``, ``[E]``."""
        return edge_l1_distance(self.features, self.graph)

    def cosine(self) -> Tensor:
        """Cosines of the angles between the ends, ``[E]``; 0 where an end is the zero vector.

        In float64 where those of a node's neighbours differ too little to be told apart otherwise:
        the cosine of a small angle differs from 1 by its square.
        """
        cosines = _cosines(self.features, self.graph)
        # A softmax sees how much the values of a node's in-edges differ, not how large they are:
        # the root mean square of these differences must stand well above rounding.
        values, pointer = cosines.detach(), self.graph.row_pointer
        mean = segment_sum(values, pointer) / pointer.diff()
        around = values - spread(mean, pointer, len(values))
        if float(around.square().mean().sqrt()) * RESOLUTION >= _EPSILON:
            return cosines
        return _cosines(self.features.double(), self.graph)

    def compared(self, comparison: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """Values of ``comparison(targets, sources)``, ``[E]``, for kernels that need the raw pair.

        Args:
            comparison: maps two gathered blocks ``[C, F]`` of bounded size to ``[C]``. It is
                evaluated again in the backward pass rather than kept.
        """
        edges_at_a_time = max(1, _GATHERED_ELEMENTS // max(1, self.features.shape[1]))

        def compare(features: Tensor, edges: Tensor) -> Tensor:
            sources, targets = edges.unbind()
            return comparison(features.index_select(0, targets), features.index_select(0, sources))

        # Checkpoints keep the features and the edges' numbers, which exist anyway, and gather the
        # blocks again in the backward pass. Comparisons draw nothing random: no state to preserve,
        # which would cost a copy for every block.
        values = [
            checkpoint(compare, self.features, e, use_reentrant=False, preserve_rng_state=False)
            for e in torch.split(self.graph.edge_index, edges_at_a_time, dim=1)
        ]
        return torch.cat(values)


def _cosines(features: Tensor, graph: Graph) -> Tensor:
    # Divided before the product, at N nodes, and by 1 where a vector is zero: 0, and no NaN in the
    # gradient, which where() around a division by 0 would let through.
    norms = torch.linalg.vector_norm(features, dim=1, keepdim=True)
    directions = features / norms.masked_fill(norms == 0, 1)
    return edge_dot(directions, directions, graph)


def _largest_squared_norm(features: Tensor) -> float:
    if features.numel() == 0:
        return 0.0
    return float(torch.linalg.vector_norm(features.detach(), dim=1).max()) ** 2
