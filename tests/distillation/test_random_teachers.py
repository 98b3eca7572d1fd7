"""A teacher that answers at random is recognised, and said."""

import warnings

import numpy as np
import pytest
import torch
from distiller_problems import Network, Squared, distiller_of
from torch import Tensor, nn
from torch.nn import functional

import gkd
from gkd.cache.teacher_cache import TeacherCache
from gkd.errors import ParameterError

DRAWS = {
    "dropout": lambda h: functional.dropout(h, 0.5),
    "noise": lambda h: h + torch.randn_like(h),
    "sampling": lambda h: h[torch.randperm(len(h))],
}


class Drawing(nn.Module):
    """A network that does something to its features in every mode, and counts its runs."""

    def __init__(self, function) -> None:
        super().__init__()
        self.layers, self.head = nn.ModuleList([nn.Linear(5, 4)]), nn.Linear(4, 3)
        self.function = function
        self.runs = 0

    def forward(self, x: Tensor) -> Tensor:
        self.runs += 1
        return self.head(self.function(self.layers[0](x)))


def batch(names: str) -> gkd.Batch:
    def sample(name: str) -> gkd.Sample:
        random = torch.Generator().manual_seed(ord(name))
        return gkd.Sample(id=name, x=torch.randn(8, 5, generator=random), y=torch.zeros(8).long())

    return gkd.collate([sample(name) for name in names])


@pytest.mark.parametrize("draw", DRAWS)
def test_without_a_cache_it_is_a_warning(draw: str) -> None:
    distiller = distiller_of(Drawing(DRAWS[draw]), Network(), gkd.Term(Squared()))
    with pytest.warns(UserWarning, match="the teacher answers at random, also in evaluation mode"):
        distiller(batch("ab"))
    distiller(batch("ab"))  # it is said once


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize("names", ["a", "ab"])
def test_its_draws_are_not_kept(draw: str, names: str) -> None:
    distiller = distiller_of(
        Drawing(DRAWS[draw]), Network(), gkd.Term(Squared()), teacher_cache=TeacherCache()
    )
    for _ in range(2):
        with pytest.raises(ParameterError, match="teacher cache: the teacher answers at random"):
            distiller(batch(names))
    assert distiller.teacher_cache.num_samples == 0


def test_draws_of_others_show_where_samples_change_their_company() -> None:
    random = np.random.default_rng(0)
    teacher = Drawing(lambda h: h + torch.from_numpy(random.normal(size=h.shape)).to(h))
    distiller = distiller_of(teacher, Network(), gkd.Term(Squared()), teacher_cache=TeacherCache())
    distiller(batch("ab"))
    distiller(batch("cd"))
    with pytest.raises(ParameterError, match="outputs of the teacher are drawn at random"):
        distiller(batch("bc"))


def test_who_draws_for_nothing_answers_the_same() -> None:
    def unused(hidden: Tensor) -> Tensor:
        torch.rand(3)
        return hidden

    teacher = Drawing(unused)
    distiller = distiller_of(teacher, Network(), gkd.Term(Squared()), teacher_cache=TeacherCache())
    for _ in range(3):
        distiller(batch("ab"))
    assert teacher.runs == 2  # the second was to find out


def test_others_run_once() -> None:
    teacher = Drawing(torch.relu)
    distiller = distiller_of(teacher, Network(), gkd.Term(Squared()))
    distiller(batch("ab"))
    assert teacher.runs == 1


def test_finding_out_takes_none_of_the_users_numbers() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        states = []
        for steps in (1, 2):
            torch.manual_seed(0)
            distiller = distiller_of(
                Drawing(DRAWS["dropout"]), Network().eval(), gkd.Term(Squared())
            )
            if steps == 2:
                distiller(batch("ab"))
            torch.manual_seed(1)
            distiller(batch("ab"))
            states.append(torch.get_rng_state())
    assert torch.equal(*states)


def test_dropout_modules_are_switched_off() -> None:
    teacher = nn.Sequential(nn.Linear(5, 4), nn.Dropout(), nn.Linear(4, 3)).train()
    distiller_of(teacher, Network(), gkd.Term(Squared()))(batch("ab"))
