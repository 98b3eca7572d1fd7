"""Learned adapters, and copies of a distiller."""

import copy
import pickle

import pytest
import torch
from distiller_problems import SAME_TAPS, Mapped, Network, batch_of, distiller_of
from torch import nn

import gkd
from gkd.errors import ParameterError


class TestAdapters:
    def distiller(self) -> gkd.Distiller:
        return distiller_of(Network(7), Network(), gkd.Term(Mapped(), **SAME_TAPS))

    def test_parameters_before_prepare_are_refused(self) -> None:
        for use in (lambda d: list(d.parameters()), lambda d: d(batch_of())):
            with pytest.raises(
                ParameterError, match=r"mapped: .* call distiller\.prepare\(batch\)"
            ):
                use(self.distiller())

    def test_adapters_are_parameters_and_learn(self) -> None:
        distiller = self.distiller().prepare(batch_of())
        names = {name for name, _ in distiller.named_parameters()}
        assert {"losses.mapped.map.weight", "losses.mapped.map.bias"} <= names
        optimiser = torch.optim.SGD(distiller.parameters(), lr=0.1)
        before = distiller.losses["mapped"].map.weight.clone()
        distiller(batch_of()).total.backward()
        optimiser.step()
        assert not torch.equal(distiller.losses["mapped"].map.weight, before)

    def test_prepare_twice_keeps_what_was_learned(self) -> None:
        distiller = self.distiller().prepare(batch_of())
        before = distiller.losses["mapped"].map
        assert distiller.prepare(batch_of()).losses["mapped"].map is before

    def test_prepare_leaves_the_student_as_it_was(self) -> None:
        distiller = self.distiller().train()
        before, random = copy.deepcopy(distiller.student.state_dict()), torch.get_rng_state()
        distiller.losses["mapped"].build = lambda *_: None  # whose weights are drawn at random
        distiller.prepare(batch_of())
        assert distiller.student.training
        assert torch.equal(torch.get_rng_state(), random)
        for name, value in distiller.student.state_dict().items():
            assert torch.equal(value, before[name]), name

    def test_adapters_of_terms_without_weight_yet_are_built(self) -> None:
        term = gkd.Term(Mapped(), weight={"value": 1.0, "from_epoch": 5}, **SAME_TAPS)
        distiller = distiller_of(Network(7), Network(), term).prepare(batch_of())
        distiller.epoch = 5
        assert distiller(batch_of()).terms.keys() == {"mapped"}

    def test_adapters_take_the_dtype_of_the_networks_not_of_autocast(self) -> None:
        distiller = self.distiller().double()
        batch = batch_of()
        batch.x = batch.x.double()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            distiller.prepare(batch)
        assert {p.dtype for p in distiller.parameters()} == {torch.float64}

    def test_the_shipped_regressor(self) -> None:
        distiller = distiller_of(Network(7), Network(), gkd.Term("fitnet", **SAME_TAPS))
        distiller.prepare(batch_of())
        adapters = {n: tuple(p.shape) for n, p in distiller.losses.named_parameters()}
        assert adapters == {"fitnet.regressor.weight": (7, 4), "fitnet.regressor.bias": (7,)}


class TestCopies:
    def distiller(self) -> gkd.Distiller:
        torch.manual_seed(0)
        terms = [gkd.Term(Mapped(), weight=2.0, **SAME_TAPS), gkd.Term("kd")]
        return distiller_of(Network(7), Network(), *terms).prepare(batch_of()).eval()

    @pytest.mark.parametrize("copied", [copy.deepcopy, lambda d: pickle.loads(pickle.dumps(d))])
    def test_a_copy_computes_the_same_and_is_independent(self, copied) -> None:
        distiller = self.distiller()
        twin = copied(distiller)
        assert torch.equal(twin(batch_of()).total, distiller(batch_of()).total)
        own = {
            id(p) for p in (*distiller.parameters(), *distiller.teachers["teacher"].parameters())
        }
        assert not own & {id(p) for p in twin.parameters()}
        assert not own & {id(p) for p in twin.teachers["teacher"].parameters()}

    def test_a_prepared_distiller_takes_the_state(self) -> None:
        distiller = self.distiller()
        twin = self.distiller()
        for parameter in twin.parameters():
            nn.init.zeros_(parameter)
        twin.load_state_dict(distiller.state_dict())
        assert torch.equal(twin(batch_of()).total, distiller(batch_of()).total)

    def test_loading_before_prepare_says_what_to_do(self) -> None:
        state = self.distiller().state_dict()
        fresh = distiller_of(Network(7), Network(), gkd.Term(Mapped(), **SAME_TAPS))
        with pytest.raises(ParameterError, match=r"mapped: .* call distiller\.prepare\(batch\)"):
            fresh.load_state_dict(state)
        wrapped = nn.ModuleDict({"inner": fresh})
        with pytest.raises(ParameterError, match=r"call distiller\.prepare\(batch\)"):
            wrapped.load_state_dict({f"inner.{key}": value for key, value in state.items()})
