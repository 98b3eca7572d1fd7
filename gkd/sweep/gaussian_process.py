"""What is known of a function from few of its values: a Gaussian process."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

_LENGTH, _NOISE = math.log(0.5), math.log(0.03)  # medians of the priors; each is a factor e wide
_STEPS = 50
_MOST = 200  # values that lengths and noise are fitted to


@dataclass(frozen=True)
class GaussianProcess:
    r"""A function's values wherever it was not looked at, and how uncertain they are.

    Functions have mean 0, variance 1 and the Matérn covariance of smoothness 5/2; with
    :math:`r^2 = \sum_d (x_d - x'_d)^2 / \ell_d^2`

    .. math:: k(x, x') = (1 + \sqrt 5 r + 5 r^2 / 3) \, e^{-\sqrt 5 r}

    and values have independent noise. Lengths and noise are those of the largest posterior
    density, under log-normal priors that a few values hardly move.

    Args:
        points: where values are known, float64 ``[n, D]``.
        lengths: one for each dimension.
        factor: lower triangular factor of the covariance of the values.
        solved: that covariance's inverse times the values.

    Source: Rasmussen, Williams, Gaussian Processes for Machine Learning, 2006, algorithm 2.1 and
    equation 4.17.
    """

    points: Tensor
    lengths: Tensor
    factor: Tensor
    solved: Tensor

    @classmethod
    def fit(cls, points: Tensor, values: Tensor) -> "GaussianProcess":
        """Learn from values ``[n]`` of about mean 0 and variance 1 at points ``[n, D]``.

        >>> at = torch.linspace(0, 1, 9, dtype=torch.float64)[:, None]
        >>> known = GaussianProcess.fit(at, torch.sin(6 * at[:, 0]))
        >>> mean, deviation = known.predict(at[4:5] + 0.05)
        >>> bool((mean - torch.sin(6 * (at[4:5, 0] + 0.05))).abs() < 0.1)
        True
        """
        order = values.argsort()
        some = order[torch.linspace(0, len(order) - 1, min(_MOST, len(order))).long()]
        logs = _most_probable(points[some], values[some])
        lengths, noise = logs[:-1].exp(), logs[-1].exp()
        factor = torch.linalg.cholesky(_covariance(points, points, lengths, noise))
        solved = torch.cholesky_solve(values[:, None], factor)[:, 0]
        return cls(points, lengths, factor, solved)

    def predict(self, at: Tensor) -> tuple[Tensor, Tensor]:
        """Return the mean and the standard deviation of the function at points ``[m, D]``."""
        across = _covariance(at, self.points, self.lengths)
        mean = across @ self.solved
        known = torch.linalg.solve_triangular(self.factor, across.T, upper=False)
        return mean, (1 - known.square().sum(0)).clamp(min=1e-12).sqrt()


def expected_improvement(mean: Tensor, deviation: Tensor, best: Tensor) -> Tensor:
    r"""Return by how much values exceed ``best`` on average, counting those below as 0.

    .. math:: \mathrm{EI} = \sigma \, (u \Phi(u) + \varphi(u)), \qquad u = (\mu - best) / \sigma

    Source: Jones, Schonlau, Welch, Efficient Global Optimization, 1998, equation 15.

    >>> zero, one = torch.zeros(1), torch.ones(1)
    >>> round(expected_improvement(zero, one, zero).item(), 4)
    0.3989
    """
    u = (mean - best) / deviation
    density = torch.exp(-u.square() / 2) / math.sqrt(2 * math.pi)
    improvement: Tensor = deviation * (u * torch.special.ndtr(u) + density)
    return improvement


def normal_scores(values: Tensor) -> Tensor:
    """Return the normal quantiles of the ranks of values: equal ones have equal scores.

    No value is far from the others then, as that of a diverged training is, and the scale that
    values are measured in makes no difference.

    >>> [round(score, 3) for score in normal_scores(torch.tensor([5.0, -1e9, 7.0])).tolist()]
    [0.0, -0.967, 0.967]
    """
    below = (values[None, :] < values[:, None]).sum(1)
    equal = (values[None, :] == values[:, None]).sum(1)
    scores: Tensor = torch.special.ndtri((below + equal / 2).double() / len(values))
    return scores


def _most_probable(points: Tensor, values: Tensor) -> Tensor:
    """Return the logarithms of the lengths, then of the noise, of the largest density."""
    prior = torch.full((points.shape[1] + 1,), _LENGTH, dtype=points.dtype)
    prior[-1] = _NOISE
    moved = torch.zeros_like(prior, requires_grad=True)
    optimiser = torch.optim.LBFGS([moved], max_iter=_STEPS, line_search_fn="strong_wolfe")

    def logs() -> Tensor:
        # Three factors e at most: without noise, or of one length for all, nothing can be solved.
        return prior + 3 * torch.tanh(moved / 3)

    def loss() -> Tensor:
        optimiser.zero_grad()
        *lengths, noise = logs().exp()
        factor = torch.linalg.cholesky(_covariance(points, points, torch.stack(lengths), noise))
        solved = torch.linalg.solve_triangular(factor, values[:, None], upper=False)
        found: Tensor = (
            solved.square().sum() / 2 + factor.diagonal().log().sum() + moved.square().sum() / 2
        )
        found.backward()  # type: ignore[no-untyped-call]
        return found

    with torch.enable_grad():
        optimiser.step(loss)  # type: ignore[no-untyped-call]
    return logs().detach()


def _covariance(
    first: Tensor, second: Tensor, lengths: Tensor, noise: Tensor | float = 0.0
) -> Tensor:
    """Covariance of the function at both, with the noise of values that are the same."""
    # Products of matrices would be faster, and wrong for points that are near.
    mode = "donot_use_mm_for_euclid_dist"
    r = math.sqrt(5) * torch.cdist(first / lengths, second / lengths, compute_mode=mode)
    covariance = (1 + r + r.square() / 3) * torch.exp(-r)
    if first is not second:
        return covariance
    return covariance + (noise + 1e-8) * torch.eye(len(first), dtype=first.dtype)
