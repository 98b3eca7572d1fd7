"""The kernels of equation 8, the two that published code adds, and the L1 kernel of the authors."""

from math import inf
from typing import Annotated, Literal

from pydantic import Field, FiniteFloat, PositiveInt
from torch import Tensor

from gkd import AbstractKernel
from gkd.errors import validated
from gkd.functional.similarities import RESOLUTION, EdgePairs

Positive = Annotated[FiniteFloat, Field(gt=0)]


class Linear(AbstractKernel):
    r"""Dot product, :math:`z_i^\top z_j`.

    Source: CVPR 2020, equation 8.

    >>> import torch
    >>> from gkd import Graph
    >>> Linear()(torch.tensor([[0.0, 2.0], [1.0, 3.0]]), Graph(torch.tensor([[1], [0]]), 2))
    tensor([6.])
    """

    def similarity(self, pairs: EdgePairs) -> Tensor:
        """Return the dot products, ``[E]``."""
        return pairs.dot()


class Polynomial(AbstractKernel):
    r"""Polynomial of the dot product, :math:`(z_i^\top z_j + c)^d`.

    Args:
        c: constant added to the dot product.
        degree: d.

    Source: CVPR 2020, equation 8 and section 4.3 (d = 2, c = 0).

    >>> import torch
    >>> from gkd import Graph
    >>> Polynomial()(torch.tensor([[0.0, 1.0], [1.0, 2.0]]), Graph(torch.tensor([[1], [0]]), 2))
    tensor([4.])
    """

    @validated
    def __init__(self, c: FiniteFloat = 0.0, degree: PositiveInt = 2) -> None:
        self.c = c
        self.degree = degree

    def similarity(self, pairs: EdgePairs) -> Tensor:
        """Return the polynomial of the dot products, ``[E]``."""
        # An error of the dot product comes out magnified by the slope of the power: the dot product
        # is asked for with that much less of it.
        steepest = (pairs.largest_squared_norm() + abs(self.c)) ** (self.degree - 1)
        slope = self.degree * max(steepest, 1.0)
        return (pairs.dot(RESOLUTION / slope) + self.c) ** self.degree


class L2(AbstractKernel):
    r"""Distance, :math:`\|z_i - z_j\|^2`, or without the square.

    As printed there is no minus sign: farther neighbours weigh more.

    Args:
        squared: whether the distance is squared. Where it is not, a distance that rounding cannot
            tell from 0 counts as 0, and so does its gradient.

    Source: CVPR 2020, equation 4; unsquared in Joshi et al., TNNLS 2022.

    >>> import torch
    >>> from gkd import Graph
    >>> L2()(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), Graph(torch.tensor([[1], [0]]), 2))
    tensor([25.])
    """

    @validated
    def __init__(self, squared: bool = True) -> None:
        self.squared = squared

    def similarity(self, pairs: EdgePairs) -> Tensor:
        """Return the distances, ``[E]``."""
        # No minus sign, tempting as it is: equation 4 is followed as printed.
        if self.squared:
            return pairs.squared_distance()
        # The root magnifies the round-off of small distances without bound, hence no tolerance.
        # Where the distance is 0 its gradient is taken as 0, not as the root's infinite slope; nor
        # of length 1 in a direction of rounding's making.
        square = pairs.squared_distance(tolerance=0.0)
        zero = square <= pairs.rounding()
        return square.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)


class RBF(AbstractKernel):
    r"""Radial basis function, :math:`\exp(-\|z_i - z_j\|^2 / 2 \sigma^2)`.

    Args:
        sigma: bandwidth σ in units of the features, or ``"median"`` for the median distance over
            the edges of the batch, self-loops excluded: each network then has its own, and the
            structure does not depend on the scale of its features. No gradient flows through it.
            Where half the ends coincide it is the mean, and where all do, all similarities are 1;
            a distance that rounding cannot tell from 0 counts as 0.

    Source: CVPR 2020, equation 8 (σ = 1).

    >>> import torch
    >>> from gkd import Graph
    >>> RBF()(torch.tensor([[0.0], [2.0]]), Graph(torch.tensor([[1], [0]]), 2))
    tensor([0.1353])
    """

    @validated
    def __init__(self, sigma: Positive | Literal["median"] = 1.0) -> None:
        self.sigma = sigma
        self.pairwise = sigma != "median"

    def similarity(self, pairs: EdgePairs) -> Tensor:
        """Return the similarities, ``[E]``, in (0, 1]."""
        variance = _median_square(pairs) if self.sigma == "median" else float(self.sigma) ** 2
        # The slope of exp is at most 1, so that only the division by 2σ² changes the tolerance: far
        # fewer features need float64 than for the distance itself. And a share ε of the exponent
        # -x changes its exp by x exp(-x) ε, which is less than ε.
        squares = pairs.squared_distance(RESOLUTION * 2 * variance, relative=RESOLUTION)
        exponents = squares / (-2 * variance)
        return exponents.exp_()  # in place: autograd keeps the result of exp, not its argument


def _median_square(pairs: EdgePairs) -> float:
    """Lower median of the squared distances (it commutes with the square), infinite if all are 0.

    Where half the ends coincide, the mean takes its place, which still tells the others apart.
    """
    between = pairs.graph.source != pairs.graph.target
    # Twice: how much round-off is tolerable shows only in the median itself.
    rough = float(pairs.squared_distance(relative=RESOLUTION).detach()[between].median())
    tolerance = RESOLUTION * 2 * rough
    squares = pairs.squared_distance(tolerance, relative=RESOLUTION).detach()[between]
    # Ends that coincide have distances of rounding's making: as a bandwidth these would blow
    # themselves up to a structure, another one on every processor. (Of no edges, both are NaN.)
    for typical in (Tensor.median, Tensor.mean):
        if pairs.exceeds_rounding(square := float(typical(squares))):
            return square
    return inf


class Cosine(AbstractKernel):
    r"""Cosine of the angle between the features, :math:`\cos(z_i, z_j)^p`; 0 for a zero vector.

    Args:
        power: p; 2 makes it what Joshi et al. call the polynomial kernel.

    Source: Joshi et al., TNNLS 2022.

    >>> import torch
    >>> from gkd import Graph
    >>> Cosine(power=2)(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), Graph(torch.tensor([[1], [0]]), 2))
    tensor([0.5000], dtype=torch.float64)
    """

    @validated
    def __init__(self, power: PositiveInt = 1) -> None:
        self.power = power

    def similarity(self, pairs: EdgePairs) -> Tensor:
        """Return the powers of the cosines, ``[E]``."""
        return pairs.cosine() ** self.power


class Laplacian(AbstractKernel):
    r"""Laplacian kernel, :math:`\exp(-\|z_i - z_j\|_1 / s)`.

    The one kernel here that needs the raw pair: features are gathered, in bounded chunks.

    Args:
        scale: s, in units of the features.

    Source: the authors' code (ihollywhy/DistillGCN.PyTorch), s = 100.

    >>> import torch
    >>> from gkd import Graph
    >>> Laplacian(scale=1.0)(torch.tensor([[0.0], [2.0]]), Graph(torch.tensor([[1], [0]]), 2))
    tensor([0.1353])
    """

    @validated
    def __init__(self, scale: Positive = 100.0) -> None:
        self.scale = scale

    def similarity(self, pairs: EdgePairs) -> Tensor:
        """Return the similarities, ``[E]``, in (0, 1]."""
        # No tolerance: differences are taken before they are added up, so that nothing cancels.
        return (pairs.l1_distance() / -self.scale).exp()
