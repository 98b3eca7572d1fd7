"""Random numbers by name."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from gkd.functional.draws import mixed_names, uniform_draws

names = st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20, unique=True)


@given(names=names, columns=st.integers(1, 5), seed=st.integers(0, 2**62), data=st.data())
def test_a_name_draws_the_same_in_any_company(names, columns, seed, data):
    drawn = uniform_draws(torch.tensor(names), columns, seed)
    order = torch.tensor(data.draw(st.permutations(range(len(names)))))
    again = uniform_draws(torch.tensor(names)[order], columns, seed)
    assert torch.equal(again, drawn[order])
    assert ((drawn > 0) & (drawn < 1)).all()
    assert len(drawn.unique()) == drawn.numel()


def test_they_are_even_and_independent():
    drawn = uniform_draws(torch.arange(20_000), 4, seed=3)
    shares = torch.histc(drawn[:, 0], bins=20, min=0, max=1) / len(drawn)
    assert (shares - 0.05).abs().max() < 0.006  # four standard deviations
    other = uniform_draws(torch.arange(20_000), 1, seed=4)
    correlation = torch.corrcoef(torch.cat([drawn, other, drawn[:, :1].roll(1, 0)], 1).T)
    assert (correlation - torch.eye(6)).abs().max() < 0.03


def test_pairs_have_names_of_their_own():
    one, other = torch.cartesian_prod(torch.arange(100), torch.arange(100)).T
    assert len(mixed_names(one, other).unique()) == 10_000
