"""Rows of a term, values per row and weights of rows."""

import pytest
import torch
from distiller_problems import SAME_TAPS, Network, Squared, batch_of, distiller_of
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import gkd
from gkd.errors import DataError, ParameterError

PER_ROW = {
    "kd": {},
    "lsp": {**SAME_TAPS, "params": {"kernel": "rbf"}},
    "fitnet": SAME_TAPS,
    "dkd": {},
    "wsld": {},
    "mskd": SAME_TAPS,
    "tf-kd": {},
    "vid": SAME_TAPS,
    "ft": SAME_TAPS,
    "ab": SAME_TAPS,
    "mgd": SAME_TAPS,
}


class Weights(gkd.AbstractWeigher):
    """Weights that a test chooses."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weights = weights

    def forward(self, student: gkd.View, teacher: gkd.View, step: gkd.Step) -> Tensor:
        return self.weights


class Each(gkd.AbstractLoss):
    """Squared difference of logits, a value per row."""

    uses = ("logits",)
    per_row = True

    def forward(self, student: gkd.View, teacher: gkd.View) -> Tensor:
        return (student.logits - teacher.logits).square().mean(1)


def value(batch, *, loss, networks, **options) -> float:
    teacher, student = networks
    torch.manual_seed(0)  # of an adapter
    distiller = distiller_of(teacher, student, gkd.Term(loss, name="t", **options), mask="all")
    return distiller.prepare(batch)(batch).terms["t"].item()


@pytest.fixture
def networks():
    torch.manual_seed(1)
    return Network(), Network().eval()


@pytest.mark.parametrize("loss", PER_ROW)
def test_weights_of_one_leave_a_loss_as_it_was(loss, networks) -> None:
    batch = batch_of()
    plain = value(batch, loss=loss, networks=networks, **PER_ROW[loss])
    weighed = value(
        batch, loss=loss, networks=networks, weigher=Weights(torch.ones(6)), **PER_ROW[loss]
    )
    assert weighed == pytest.approx(plain, rel=1e-6)


@given(mask=st.lists(st.booleans(), min_size=6, max_size=6), seed=st.integers(0, 99))
def test_rows_and_weights_give_the_mean_of_weighted_values(mask: list[bool], seed: int) -> None:
    torch.manual_seed(seed)
    batch, teacher, student = batch_of(), Network(), Network().eval()
    batch.m = torch.tensor(mask)
    weights = torch.rand(6)
    term = gkd.Term(Each(), rows="m", weigher=Weights(weights))
    report = distiller_of(teacher, student, term)(batch)
    values = (student(batch.x) - teacher(batch.x)).square().mean(1) * weights
    expected = values[batch.m].mean() if any(mask) else torch.zeros(())
    torch.testing.assert_close(report.terms["each"], expected)
    report.total.backward()


@pytest.mark.parametrize("loss", PER_ROW)
def test_seed_rows_keep_their_neighbours(loss, networks) -> None:
    """The value of some rows and of the others share out that of all."""
    batch = batch_of()
    batch.m = torch.arange(6) < 2
    of = {
        rows: value(batch, loss=loss, networks=networks, rows=rows, **PER_ROW[loss])
        for rows in ("m", "~m", "all")
    }
    assert 2 * of["m"] + 4 * of["~m"] == pytest.approx(6 * of["all"], rel=1e-5)


def test_a_loss_of_one_number_gets_the_rows_alone(networks) -> None:
    batch, (teacher, student) = batch_of(), networks
    batch.m = torch.tensor([True, False, True, True, False, False])
    seen = {}

    class Keeps(Squared):
        def forward(self, student, teacher):
            seen.update(student=student, teacher=teacher)
            return super().forward(student, teacher)

    term = gkd.Term(Keeps(), rows="m", **SAME_TAPS)
    report = distiller_of(teacher, student, term)(batch)
    kept = torch.tensor([0, 2, 3])
    expected = (student.layers[0](batch.x[kept]) - teacher.layers[0](batch.x[kept])).square().mean()
    torch.testing.assert_close(report.terms["keeps"], expected)
    # Of the ring i-1 -> i, one edge joins two of these rows: 2 -> 3.
    assert seen["student"].graph.edge_index.tolist() in ([[1], [2]], [[2], [1]])


@pytest.mark.parametrize("loss", ["lsp", "at"])
def test_a_teacher_cache_gives_the_same_rows(loss, networks) -> None:
    teacher, student = networks
    samples = [gkd.Sample(id=str(i), **vars(batch_of(seed=i))) for i in range(2)]
    batch = gkd.collate([*samples])
    batch = gkd.collate(
        [gkd.Sample(id=s.id, **dict(s.items()), m=torch.arange(6) % 2 == 0) for s in samples]
    )
    values = []
    for cache in (None, gkd.teacher_cache.TeacherCache()):
        term = gkd.Term(loss, rows="m", **SAME_TAPS)
        distiller = distiller_of(teacher, student, term, teacher_cache=cache)
        values.append([distiller(batch).terms[loss].item() for _ in range(2)])
    assert values[0] == pytest.approx(values[1], rel=1e-6)


def test_seeds_of_a_sampled_batch(networks) -> None:
    batch, (teacher, student) = batch_of(), networks
    batch.batch_size = 2
    report = distiller_of(teacher, student, gkd.Term(Each(), rows="seeds"), mask="seeds")(batch)
    expected = (student(batch.x) - teacher(batch.x)).square().mean(1)[:2].mean()
    torch.testing.assert_close(report.terms["each"], expected)


class TestMistakes:
    def test_no_value_per_row(self) -> None:
        term = gkd.Term(Squared(), weigher=Weights(torch.ones(6)))
        with pytest.raises(ParameterError, match=r"one number for all rows; .* per_row = True"):
            distiller_of(Network(), Network(), term)

    def test_a_weigher_that_is_none(self) -> None:
        with pytest.raises(ParameterError, match=r"weigher 3 is a int, not a gkd.AbstractWeigher"):
            distiller_of(Network(), Network(), gkd.Term(Each(), weigher=3))
        with pytest.raises(ParameterError, match=r"weigher: a mapping needs the weigher's 'name'"):
            distiller_of(Network(), Network(), gkd.Term(Each(), weigher={"k": 1}))

    def test_a_weigher_of_other_rows(self) -> None:
        term = gkd.Term(Each(), weigher=Weights(torch.ones(5)))
        with pytest.raises(ParameterError, match=r"weigher gave .*5.*, not a weight for each of 6"):
            distiller_of(Network(), Network(), term)(batch_of())

    @pytest.mark.parametrize("wrong", [-0.5, torch.nan, torch.inf])
    def test_a_weight_that_is_none(self, wrong: float) -> None:
        weights = torch.ones(6)
        weights[4] = wrong
        term = gkd.Term(Each(), weigher=Weights(weights))
        with pytest.raises(ParameterError, match=f"the weigher gave {wrong} for row 4: a weight"):
            distiller_of(Network(), Network(), term)(batch_of())

    def test_a_value_per_row_that_is_not_declared(self) -> None:
        class Undeclared(Each):
            per_row = False

        with pytest.raises(ParameterError, match=r"shape .6., not a scalar"):
            distiller_of(Network(), Network(), gkd.Term(Undeclared()))(batch_of())

    def test_a_declared_value_per_row_that_is_missing(self) -> None:
        class Scalar(Squared):
            per_row = True

        with pytest.raises(ParameterError, match="not a value for each of 6 rows"):
            distiller_of(Network(), Network(), gkd.Term(Scalar()))(batch_of())

    def test_rows_that_the_batch_has_not(self) -> None:
        with pytest.raises(DataError, match=r"term 'each': rows: .* no 'm'"):
            distiller_of(Network(), Network(), gkd.Term(Each(), rows="m"))(batch_of())

    def test_rows_that_are_none(self) -> None:
        with pytest.raises(ParameterError, match="names no rows"):
            gkd.Term(Each(), rows="m[")


@pytest.mark.parametrize("loss", ["crd", "krd"])
def test_a_loss_that_remembers_is_called_without_rows_too(loss, networks, monkeypatch) -> None:
    """Other processes may have rows, and wait for what this one has."""
    batch = batch_of()
    batch.n_id, batch.m = torch.arange(6), torch.zeros(6, dtype=torch.bool)
    calls = []
    gathered = gkd.RowMemory._gathered
    monkeypatch.setattr(
        gkd.RowMemory, "_gathered", lambda *given: calls.append(1) or gathered(*given)
    )
    teacher, student = networks
    taps = SAME_TAPS if loss == "crd" else {}
    distiller = distiller_of(teacher, student, gkd.Term(loss, rows="m", **taps)).prepare(batch)
    calls.clear()
    report = distiller(batch)
    assert calls
    assert report.terms[loss] == 0
    report.total.backward()
