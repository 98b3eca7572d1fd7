"""Random numbers: those that go with names, the same whatever others come with them; places."""

import torch
from torch import Tensor

_STEP, _FIRST, _SECOND = (
    number - 2**64 for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)

_AT_A_TIME = 2**20  # numbers: what they are made of takes ten times as much for a moment


def uniform_draws(names: Tensor, columns: int, seed: int) -> Tensor:
    """Return numbers between 0 and 1, both left out, float64 ``[N, columns]``.

    Numbers of other names, columns and seeds are independent, for all that statistics can tell:
    they are a hash of the three. A generator would draw in the order of rows, so that what a row
    gets would depend on the others.

    Args:
        names: int64 ``[N]``.
        columns: how many numbers for each name.
        seed: a whole number.

    >>> draws = uniform_draws(torch.tensor([7, 9, 7]), columns=2, seed=0)
    >>> bool((draws[0] == draws[2]).all()), bool((draws[0] == draws[1]).any())
    (True, False)
    """
    places = torch.arange(1, columns + 1, device=names.device) * _STEP
    bits = _mixed(_mixed(names + seed)[:, None] + places)
    return (_shifted(bits, 11).double() + 0.5) * 2.0**-53


def normal_draws(names: Tensor, columns: int, seed: int) -> Tensor:
    """Return numbers of the standard normal distribution, float64 ``[N, columns]``.

    Args:
        names: int64 ``[N]``.
        columns: how many numbers for each name.
        seed: a whole number.

    >>> normal_draws(torch.arange(10_000), columns=1, seed=0).std()
    tensor(0.9920, dtype=torch.float64)
    """
    blocks = torch.split(names, max(1, _AT_A_TIME // max(columns, 1)))
    drawn = [torch.special.ndtri(uniform_draws(block, columns, seed)) for block in blocks]
    return torch.cat(drawn)


def mixed_names(one: Tensor, other: Tensor) -> Tensor:
    """Return a name for each pair of names, int64 in their shape; another for the pair reversed.

    >>> one, other = torch.tensor([1, 2]), torch.tensor([2, 1])
    >>> len(mixed_names(one, other).unique())
    2
    """
    return _mixed(_mixed(one) + other)


def drawn_below(sizes: Tensor, generator: torch.Generator) -> Tensor:
    """Return whole numbers from 0 on, each below its size, int64 in the shape of ``sizes``.

    Args:
        sizes: int64; the number below 0 is 0.
        generator: of the draws, on the device of the sizes.

    >>> drawn_below(torch.tensor([1, 0, 1]), torch.Generator())
    tensor([0, 0, 0])
    """
    share = torch.rand(sizes.shape, generator=generator, device=sizes.device, dtype=torch.float64)
    # Rounding may take a share just below 1 to the end of the range.
    return (share * sizes).long().minimum((sizes - 1).clamp(min=0))


def distinct_draws(sizes: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return different whole numbers from 0 on, below the size of their row, int64 ``[N, count]``.

    All sets of so many numbers are equally likely; a row's numbers ascend. Time and memory do not
    depend on the sizes: Floyd's algorithm (Bentley and Floyd, CACM 1987), for all rows at once.

    Args:
        sizes: int64 ``[N]``, each at least ``count``.
        count: how many for each row.
        generator: of the draws, on the device of the sizes.

    >>> distinct_draws(torch.tensor([2, 2]), 2, torch.Generator())
    tensor([[0, 1],
            [0, 1]])
    """
    chosen = sizes.new_empty(len(sizes), count)
    for column in range(count):
        last = sizes - count + column
        drawn = drawn_below(last + 1, generator)
        # What was chosen before is below the last number, which can therefore take its place.
        known = (chosen[:, :column] == drawn[:, None]).any(1)
        chosen[:, column] = torch.where(known, last, drawn)
    return chosen.sort(dim=1).values


def _mixed(values: Tensor) -> Tensor:
    # The finaliser of SplitMix64 (Steele, Lea, Flood 2014); products of int64 wrap around.
    values = (values ^ _shifted(values, 30)) * _FIRST
    values = (values ^ _shifted(values, 27)) * _SECOND
    return values ^ _shifted(values, 31)


def _shifted(values: Tensor, bits: int) -> Tensor:
    # torch shifts the sign in; masked off, it is the shift of unsigned numbers.
    return (values >> bits) & ((1 << (64 - bits)) - 1)
