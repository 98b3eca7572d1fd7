"""The kernels of equation 8, the two that published code adds, and the L1 kernel of the authors."""

import math
from typing import Literal

from torch import Tensor

from gkd import AbstractKernel, ParameterError
from gkd.functional.similarities import RESOLUTION, EdgePairs


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
        degree: d, at least 1.

    Raises:
        ParameterError: ``degree`` below 1, or ``c`` not finite.

    Source: CVPR 2020, equation 8 and section 4.3 (d = 2, c = 0).

    >>> import torch
    >>> from gkd import Graph
    >>> Polynomial()(torch.tensor([[0.0, 1.0], [1.0, 2.0]]), Graph(torch.tensor([[1], [0]]), 2))
    tensor([4.])
    """

    def __init__(self, c: float = 0.0, degree: int = 2) -> None:
        self.c = _finite("poly", "c", c)
        self.degree = _at_least_one("poly", "degree", degree)

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
        squared: whether the distance is squared.

    Source: CVPR 2020, equation 4; unsquared in Joshi et al., TNNLS 2022.

    >>> import torch
    >>> from gkd import Graph
    >>> L2()(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), Graph(torch.tensor([[1], [0]]), 2))
    tensor([25.])
    """

    def __init__(self, squared: bool = True) -> None:
        self.squared = squared

    def similarity(self, pairs: EdgePairs) -> Tensor:
        """Return the distances, ``[E]``."""
        # No minus sign, tempting as it is: equation 4 is followed as printed.
        if self.squared:
            return pairs.squared_distance()
        # The root magnifies the round-off of small distances without bound, hence no tolerance.
        # Where the distance is 0 its gradient is taken as 0, not as the root's infinite slope.
        square = pairs.squared_distance(tolerance=0.0)
        zero = square == 0
        return square.masked_fill(zero, 1).sqrt().masked_fill(zero, 0)


class RBF(AbstractKernel):
    r"""Radial basis function, :math:`\exp(-\|z_i - z_j\|^2 / 2 \sigma^2)`.

    Args:
        sigma: bandwidth σ in units of the features, or ``"median"`` for the median distance over
            the edges of the batch, self-loops excluded: each network then has its own, and the
            structure does not depend on the scale of its features. No gradient flows through it.

    Raises:
        ParameterError: ``sigma`` is neither positive nor ``"median"``.

    Source: CVPR 2020, equation 8 (σ = 1).

    >>> import torch
    >>> from gkd import Graph
    >>> RBF()(torch.tensor([[0.0], [2.0]]), Graph(torch.tensor([[1], [0]]), 2))
    tensor([0.1353])
    """

    def __init__(self, sigma: float | Literal["median"] = 1.0) -> None:
        if sigma != "median":
            _positive("rbf", "sigma", sigma)
        self.sigma = sigma
        self.pairwise = sigma != "median"

    def similarity(self, pairs: EdgePairs) -> Tensor:
        """Return the similarities, ``[E]``, in (0, 1]."""
        if self.sigma == "median":
            # Twice: how much round-off is tolerable shows only in the median itself. Where all
            # ends coincide it is 0, and any bandwidth gives the same similarities.
            rough = _median(pairs.squared_distance(), pairs)
            variance = _median(pairs.squared_distance(RESOLUTION * 2 * rough), pairs) or 1.0
        else:
            variance = float(self.sigma) ** 2
        # The slope of exp is at most 1, so that only the division by 2σ² changes the tolerance: far
        # fewer features need float64 than for the distance itself.
        exponents = pairs.squared_distance(RESOLUTION * 2 * variance) / (-2 * variance)
        return exponents.exp_()  # in place: autograd keeps the result of exp, not its argument


def _median(squares: Tensor, pairs: EdgePairs) -> float:
    """Lower median over the edges (it commutes with the square); 0 when there are none."""
    between = squares.detach()[pairs.graph.source != pairs.graph.target]
    if not between.numel():
        return 0.0
    # Where half the ends coincide, the mean still tells the others apart.
    return float(between.median()) or float(between.mean())


class Cosine(AbstractKernel):
    r"""Cosine of the angle between the features, :math:`\cos(z_i, z_j)^p`; 0 for a zero vector.

    Args:
        power: p, at least 1; 2 makes it what Joshi et al. call the polynomial kernel.

    Raises:
        ParameterError: ``power`` below 1.

    Source: Joshi et al., TNNLS 2022.

    >>> import torch
    >>> from gkd import Graph
    >>> Cosine(power=2)(torch.tensor([[1.0, 0.0], [1.0, 1.0]]), Graph(torch.tensor([[1], [0]]), 2))
    tensor([0.5000], dtype=torch.float64)
    """

    def __init__(self, power: int = 1) -> None:
        self.power = _at_least_one("cosine", "power", power)

    def similarity(self, pairs: EdgePairs) -> Tensor:
        """Return the powers of the cosines, ``[E]``."""
        return pairs.cosine() ** self.power


class Laplacian(AbstractKernel):
    r"""Laplacian kernel, :math:`\exp(-\|z_i - z_j\|_1 / s)`.

    The one kernel here that needs the raw pair: features are gathered, in bounded chunks.

    Args:
        scale: s, in units of the features.

    Raises:
        ParameterError: ``scale`` is not positive.

    Source: the authors' code (ihollywhy/DistillGCN.PyTorch), s = 100.

    >>> import torch
    >>> from gkd import Graph
    >>> Laplacian(scale=1.0)(torch.tensor([[0.0], [2.0]]), Graph(torch.tensor([[1], [0]]), 2))
    tensor([0.1353])
    """

    def __init__(self, scale: float = 100.0) -> None:
        self.scale = _positive("laplacian", "scale", scale)

    def similarity(self, pairs: EdgePairs) -> Tensor:
        """Return the similarities, ``[E]``, in (0, 1]."""
        # No tolerance: differences are taken before they are added up, so that nothing cancels.
        return (pairs.l1_distance() / -self.scale).exp()


def _finite(kernel: str, name: str, value: float) -> float:
    if not math.isfinite(value):
        raise ParameterError(f"{kernel}: {name} must be finite, got {value!r}")
    return value


def _positive(kernel: str, name: str, value: float) -> float:
    if not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ParameterError(f"{kernel}: {name} must be a positive number, got {value!r}")
    return value


def _at_least_one(kernel: str, name: str, value: int) -> int:
    if value < 1:
        raise ParameterError(f"{kernel}: {name} must be at least 1, got {value!r}")
    return value
