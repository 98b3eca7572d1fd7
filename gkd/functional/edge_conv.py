"""Edge convolution, its matrix product at N nodes instead of E edges."""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, linear

from gkd.eager import eagerly
from gkd.errors import ParameterError
from gkd.functional.edge_moments import edge_moments
from gkd.functional.neighbour_max import neighbour_max
from gkd.graph import Graph


class Moments(NamedTuple):
    """Mean and variance of every channel, as batch normalisation uses them.

    Attributes:
        mean: ``[F]``.
        variance: ``[F]``, biased.
    """

    mean: Tensor
    variance: Tensor


@eagerly
def edge_conv(
    features: Tensor,
    weight: Tensor,
    scale: Tensor,
    shift: Tensor,
    graph: Graph,
    moments: Moments | None = None,
    *,
    epsilon: float = 1e-5,
    negative_slope: float = 0.2,
) -> tuple[Tensor, Moments]:
    r"""Maximum over neighbours of a normalised linear map of edges.

    .. math::
        y_i = \max_{j \in N(i)} \mathrm{LeakyReLU}\left(\gamma\,
        \frac{z_{ij} - \mu}{\sqrt{\sigma^2 + \epsilon}} + \beta\right), \qquad
        z_{ij} = W\, [x_j - x_i,\; x_i] = W_n x_j + (W_c - W_n)\, x_i

    The second form of ``z`` needs two products over nodes. What follows the linear map is
    monotone in every channel, so the maximum over ``W_n x_j`` comes first (the minimum where the
    scale is negative: there the channel's sign is changed) and the rest is done at N nodes.

    Args:
        features: ``x``, ``[N, C]``.
        weight: ``W = [W_n, W_c]``, ``[F, 2C]``.
        scale: ``γ``, ``[F]``.
        shift: ``β``, ``[F]``.
        graph: E edges over N nodes, at least one into every node.
        moments: ``μ`` and ``σ²``; None for those over the E edges at hand.
        epsilon: ``ε``.
        negative_slope: slope of LeakyReLU below zero, at least 0.

    Returns:
        ``y``, ``[N, F]``, and the moments used. Half precision is computed in float32, under
        autocast too: ``x_j - x_i`` is small, and is the difference of two products here.

    Raises:
        ParameterError: shapes that do not fit, a node without in-edges, a negative slope.

    Source:
        Wang et al., Dynamic Graph CNN for Learning on Point Clouds, ACM TOG 2019, section 3.1,
        equation 8 with max aggregation, and batch normalisation as in its section 4.1.

    >>> graph = Graph(torch.tensor([[0, 1, 1], [0, 0, 1]]), num_nodes=2)
    >>> x, weight, one = torch.tensor([[0.0], [3.0]]), torch.tensor([[1.0, 10.0]]), torch.ones(1)
    >>> moments = Moments(mean=torch.zeros(1), variance=torch.ones(1))
    >>> edge_conv(x, weight, one, 0 * one, graph, moments, epsilon=0.0)[0]
    tensor([[ 3.],
            [30.]])
    """
    expected = (len(scale), 2 * features.shape[-1])
    if features.dim() != 2 or weight.shape != expected or shift.shape != scale.shape:
        raise ParameterError(
            "edge_conv needs features [N, C], weight [F, 2C], scale [F] and shift [F], got "
            f"{list(features.shape)}, {list(weight.shape)}, {list(scale.shape)} and "
            f"{list(shift.shape)}"
        )
    if not negative_slope >= 0:
        raise ParameterError(f"negative_slope must be at least 0, got {negative_slope}")
    dtype = torch.promote_types(features.dtype, torch.float32)
    # Under autocast linear would round to half precision what is subtracted below.
    with torch.autocast(features.device.type, enabled=False):
        # Where the scale is negative the largest result has the smallest z. With the sign in the
        # weights a channel is turned over, and one maximum serves all of them.
        sign = torch.where(scale < 0, -1.0, 1.0).to(dtype)
        neighbour, centre = (weight.to(dtype) * sign[:, None]).chunk(2, dim=1)
        x = features.to(dtype)
        if moments is None:
            # The statistics are of z before the normalisation: it cannot go into the weights.
            from_source, from_target = linear(x, neighbour), linear(x, centre - neighbour)
            mean, variance = edge_moments(from_source, from_target, graph)
            factor = scale.to(dtype) * sign * (variance + epsilon).rsqrt()
            largest = neighbour_max(from_source, graph).add_(from_target)
            result = torch.addcmul(shift.to(dtype) - mean * factor, largest, factor)
        else:  # the normalisation is known beforehand, and linear as well: it goes into the weights
            mean, variance = moments.mean.to(dtype) * sign, moments.variance.to(dtype)
            factor = scale.to(dtype) * sign * (variance + epsilon).rsqrt()
            neighbour, centre = neighbour * factor[:, None], centre * factor[:, None]
            from_target = linear(x, centre - neighbour, shift.to(dtype) - mean * factor)
            result = neighbour_max(linear(x, neighbour), graph).add_(from_target)
        result = leaky_relu(result, negative_slope, inplace=True).to(features.dtype)
    return result, Moments(mean * sign, variance)
