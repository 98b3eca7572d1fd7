"""GSP, the global structure preserving loss of Joshi, Liu, Xun, Lin, Foo.

On Representation Knowledge Distillation for Graph Neural Networks, TNNLS 2022,
https://arxiv.org/abs/2111.04964.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat
from torch import Tensor

from gkd import AbstractLoss, Paper, Step, View
from gkd.errors import ParameterError, validated
from gkd.functional.node_pairs import distances, over_pairs, squared_distances
from gkd.functional.paired_rows import at_least_zero, directions, drawn_rows, paired_features


class GSP(AbstractLoss):
    r"""Mean squared difference of the similarities of all pairs of nodes.

    .. math:: \frac{1}{N^2} \sum_{ij} \left( k(z^s_i, z^s_j) - k(z^t_i, z^t_j) \right)^2

    Pairs across the graphs of a batch count as well. Similarities are computed in float64, in
    blocks of nodes and again in the backward pass: memory is O(N·(F + F')), time O(N²·(F + F')).
    With the cosine kernel, where S and T are the features at unit length, the sum is
    :math:`\|S^T S\|^2 + \|T^T T\|^2 - 2 \|S^T T\|^2`: no pair is needed, and time is
    O(N·(F + F')²).

    Args:
        kernel: ``"cosine"``, 0 where a node's features are; ``"poly"``, the squared cosine;
            ``"l2"``, the distance; ``"rbf"``, :math:`\exp(-\|x - y\|^2 / (2 \sigma^2))`.
        sigma: σ of the rbf kernel, in units of the features; 1 where left out.
        samples: nodes drawn for each call where there are more; None takes all. The cosine kernel
            takes all at any rate.

    Shapes:
        ``student.features`` ``[N, F]``, ``teacher.features`` ``[N, F']``; a scalar results.

    Raises:
        ParameterError: a σ with another kernel; in the call, views without features or with
            different nodes.

    When:
        LSP's idea where edges say little: it asks for the whole geometry, not that of neighbours.

    Source:
        The paper's GSP, with the kernels of its code (chaitjo/efficient-gnns, ``gpw_criterion``),
        which takes the features through a linear map, batch normalisation and ReLU first, draws
        8192 nodes, and takes the kernel cosine in the function, rbf in the scripts.

    Example:
        >>> import torch
        >>> student = View(features=torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
        >>> teacher = View(features=torch.tensor([[2.0], [3.0]]))
        >>> GSP()(student, teacher, step=Step.of(student))
        tensor(0.5000)
        >>> GSP(kernel="l2")(student, teacher, step=Step.of(student))
        tensor(0.0858)
    """

    uses = ("features",)
    samples_apart = False
    paper = Paper(
        "Joshi, Liu, Xun, Lin, Foo",
        "On Representation Knowledge Distillation for Graph Neural Networks",
        "TNNLS",
        2022,
        "https://arxiv.org/abs/2111.04964",
    )
    parity = ("chaitjo/efficient-gnns",)

    @validated
    def __init__(
        self,
        kernel: Literal["cosine", "poly", "l2", "rbf"] = "cosine",
        sigma: Annotated[FiniteFloat, Field(gt=0)] | None = None,
        samples: Annotated[int, Field(ge=2)] | None = 1024,
    ) -> None:
        super().__init__()
        if sigma is not None and kernel != "rbf":
            raise ParameterError(f"sigma: the {kernel} kernel has no such parameter, got {sigma}")
        self.kernel, self.samples = kernel, samples
        self.linear_work = kernel == "cosine"
        self.sigma = 1.0 if sigma is None else sigma

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        """Return the mean over pairs; 0 where there are no nodes."""
        ours, theirs = paired_features(
            student.require_features("gsp"), teacher.require_features("gsp"), "gsp"
        )
        # Similarities that nearly agree need more digits than products leave them.
        s, t = ours.double(), theirs.double()
        if self.kernel == "cosine":
            s, t = directions(s, dim=1), directions(t, dim=1)
            squares = [(one.T @ other).square().sum() for one, other in ((s, s), (t, t), (s, t))]
            total = at_least_zero(squares[0] + squares[1] - 2 * squares[2])
        else:
            # The unit of length goes into the features, so that kernels have no parameters.
            s, t = drawn_rows(s / self.sigma, t / self.sigma, self.samples, step.generator)
            similarities = _SIMILARITIES[self.kernel]

            def differences(rows: slice) -> Tensor:
                return (similarities(s, rows) - similarities(t, rows)).square().sum(dim=1)

            total = over_pairs(differences, len(s)).sum()
        return (total / max(len(s), 1) ** 2).to(ours.dtype)

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return f"kernel={self.kernel}, sigma={self.sigma}, samples={self.samples}"


def _squared_cosines(features: Tensor, rows: slice) -> Tensor:
    vectors = directions(features, dim=1)
    return (vectors[rows] @ vectors.T).square()


def _radial(features: Tensor, rows: slice) -> Tensor:
    return (squared_distances(features, rows) / -2).exp()


_SIMILARITIES: Mapping[str, Callable[[Tensor, slice], Tensor]] = {
    "poly": _squared_cosines,
    "l2": distances,
    "rbf": _radial,
}
"""Similarities of some nodes with all, ``[b, N]``, in float64."""
