r"""Graph attention in compiled loops, all heads of an edge at once, where there is a compiler of C.

Exponentials are taken of nodes, not of edges. With :math:`z_i = t_i + \max_j s_j`,

.. math:: e^{\mathrm{LeakyReLU}(s_j + t_i) - c_i} = \begin{cases}
    e^{s_j - \max s}\, e^{z_i - c_i} & s_j + t_i > 0 \\
    e^{a (s_j - \max s)}\, e^{a z_i - c_i} & \text{otherwise,} \end{cases}

as long as no score of a source is so far below the highest that its factor is lost.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import leaky_relu, pad

from gkd.functional.compiled_loops import loop_for
from gkd.functional.edge_loops import edge_shares, rows_within
from gkd.functional.threads import Share, in_threads
from gkd.graph import Graph

_VECTOR = 32  # bytes, as in the loops
_EDGES = 64  # of a row at a time, as in the loops
_SUMS = 3  # of each head in the backward pass, as in the loops
_MEAN = 3  # the last of what a node has for the weights, as in the loops
_WIDEST = 32  # channels of a head that is one of many

BEARABLE = 30.0
"""How far below the highest score of a source others may be: exp(-30) is 1e-13."""


def attend(
    features: Tensor,
    source_scores: Tensor,
    target_scores: Tensor,
    graph: Graph,
    slope: float,
    mask: Tensor | None,
) -> tuple[Tensor, Tensor] | None:
    """Return attention over the neighbours, and the logarithms of what weights are divided by.

    Args:
        features: ``[N, H, F]``.
        source_scores: ``s``, ``[N, H]``.
        target_scores: ``t``, ``[N, H]``.
        graph: E edges over N nodes.
        slope: ``a``, of LeakyReLU below zero.
        mask: factors of the weights, ``[E, H]``; None is 1 everywhere.

    Returns:
        ``[N, H, F]`` and ``[N, H]``; None where there is no compiled loop, or scores are too far
        apart.
    """
    loop = _loop("attend", features)
    highest = None if loop is None else _highest(source_scores, slope)
    if loop is None or highest is None:
        return None
    # LeakyReLU is monotone: no score of a node's in-edges exceeds the peak.
    peaks = leaky_relu(target_scores + highest, slope)
    ends = _ends(source_scores, target_scores, highest, slope, peaks)
    x, mask = _packed(features), None if mask is None else mask.contiguous()
    pointer, columns = graph.row_pointer.contiguous(), graph.source.contiguous()
    totals = x.new_zeros(len(x), x.shape[1] * x.shape[3])
    sums = torch.zeros_like(x)

    def add(share: Share) -> None:
        given = x, *ends, mask, pointer, columns
        numbers = *features.shape[1:], *rows_within(share, pointer, len(columns))
        loop(*given, *numbers, totals.new_empty(_EDGES, totals.shape[1]), totals, sums)

    in_threads(add, edge_shares(len(columns), x.flatten(1)))
    # That of a node without edges, -inf, is taken from the score of none.
    total = totals[:, : features.shape[1]]
    return _unpacked(sums, features.shape[1]), total.log().add_(peaks)


def attend_back(
    grad: Tensor,
    features: Tensor,
    source_scores: Tensor,
    target_scores: Tensor,
    log_totals: Tensor,
    graph: Graph,
    slope: float,
    mask: Tensor | None,
    of_features: bool,
) -> tuple[Tensor | None, Tensor, Tensor] | None:
    """Return the gradients of features, if asked for, and of both scores from that of the result.

    None where there is no compiled loop, or scores are too far apart.
    """
    loop = _loop("attend_back", features)
    highest = None if loop is None else _highest(source_scores, slope)
    if loop is None or highest is None:
        return None
    x, received = _packed(features), _packed(grad)
    mask = None if mask is None else mask.contiguous()

    def sums(
        own: Tensor,
        other: Tensor,
        ends: Sequence[Tensor],
        pointer: Tensor,
        columns: Tensor,
        order: Tensor | None,
        sent: Tensor | None,
    ) -> Tensor:
        pointer, columns = pointer.contiguous(), columns.contiguous()
        order = None if order is None else order.contiguous()
        total = x.new_zeros(len(x), _SUMS, x.shape[1] * x.shape[3])

        def add(share: Share) -> None:
            given = own, other, *ends, mask, order, pointer, columns
            numbers = *features.shape[1:], *rows_within(share, pointer, len(columns)), float(slope)
            loop(*given, *numbers, *total.new_empty(2, _EDGES, total.shape[2]), total, sent)

        in_threads(add, edge_shares(len(columns), x.flatten(1)))
        return total[..., : features.shape[1]]

    # With w the weights, d the gradients of them, and l the slopes of the scores, the gradient of a
    # target's score is Σ l w (d - Σ w d), the inner sum over its in-edges.
    sources, targets = _ends(source_scores, target_scores, highest, slope, log_totals)
    mean, sloped, slopes = sums(
        received, x, (targets, sources), graph.row_pointer, graph.source, None, None
    ).unbind(1)
    # That of a source's score goes through the softmax of each of its targets.
    targets[:, _MEAN, : features.shape[1]] = mean
    sent = torch.zeros_like(x) if of_features else None
    grad_source = sums(x, received, (sources, targets), *graph.transpose, sent)[:, 1]
    grad_features = None if sent is None else _unpacked(sent, features.shape[1])
    return grad_features, grad_source, sloped - mean * slopes


def _loop(name: str, features: Tensor) -> Callable[..., None] | None:
    if not features.numel() or not _pays(features):
        return None
    return loop_for("attention_loops", name, features)


def _pays(features: Tensor) -> bool:
    """Whether all heads at once are faster than one after another, as measured.

    Wide heads have enough to do by themselves; zeros that fill vectors take as long as heads.
    """
    _, heads, channels = features.shape
    filled = heads + _missing(heads, features)
    return 3 * filled <= 4 * heads and filled * channels <= _WIDEST * heads


def _highest(source_scores: Tensor, slope: float) -> Tensor | None:
    """Return the highest score of the sources for each head, if no other is too far below."""
    low, high = torch.aminmax(source_scores, dim=0)
    apart = float((high - low).max()) * max(1, slope)
    return high if apart < BEARABLE else None  # nor where one is not a number


def _ends(
    source_scores: Tensor,
    target_scores: Tensor,
    highest: Tensor,
    slope: float,
    shift: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return what sources and targets have for the weights, each ``[N, parts, heads]``."""
    low, z = source_scores - highest, target_scores + highest
    zero = torch.zeros_like(low)
    sources = source_scores, low.exp(), (slope * low).exp(), zero
    targets = target_scores, (z - shift).exp(), (slope * z - shift).exp(), zero
    return _filled(torch.stack(sources, 1)), _filled(torch.stack(targets, 1))


def _filled(x: Tensor) -> Tensor:
    """Return ``x``, whose last dimension is heads, with zeros that fill vectors."""
    missing = _missing(x.shape[-1], x)
    return pad(x, (0, missing)) if missing else x.contiguous()


def _packed(x: Tensor) -> Tensor:
    """Return ``x [N, H, F]`` in packs of the heads that a vector has, ``[N, packs, F, lanes]``."""
    missing = _missing(x.shape[1], x)
    x = pad(x, (0, 0, 0, missing)) if missing else x
    return x.view(len(x), -1, _lanes(x), x.shape[2]).transpose(2, 3).contiguous()


def _unpacked(packs: Tensor, heads: int) -> Tensor:
    """Return such packs as ``[N, H, F]``."""
    return packs.transpose(2, 3).flatten(1, 2)[:, :heads]


def _missing(heads: int, x: Tensor) -> int:
    """Return how many more heads fill vectors."""
    return -heads % _lanes(x)


def _lanes(x: Tensor) -> int:
    return _VECTOR // x.element_size()
