"""Teachers that learn, the student as its own teacher, its moving average, shared connectors."""

import copy

import pytest
import torch
from distiller_problems import Network, batch_of, distiller_of
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, kl_div, log_softmax

import gkd
from gkd.errors import ParameterError, UnknownNameError


def networks(seed: int = 0) -> tuple[Network, Network]:
    torch.manual_seed(seed)
    return Network(width=7), Network()


def divergence(student: Tensor, teacher: Tensor) -> Tensor:
    return kl_div(
        log_softmax(student, 1), log_softmax(teacher.detach(), 1), reduction="sum", log_target=True
    ) / len(student)


def gradients(network: nn.Module) -> dict[str, Tensor]:
    return {n: p.grad for n, p in network.named_parameters() if p.grad is not None}


KD = {"loss": "kd", "params": {"temperature": 1.0}}
MUTUAL = (
    gkd.Term(**KD, weight=0.5, teacher="peer:"),
    gkd.Term(**KD, weight=0.25, student="peer:", teacher="student:"),
)


class TestMutualLearning:
    def test_both_gradients_are_those_of_a_loop_by_hand(self) -> None:
        batch, (peer, student) = batch_of(), networks()
        peer, student = peer.eval(), student.eval()
        by_hand = copy.deepcopy(peer), copy.deepcopy(student)
        distiller = distiller_of({"peer": peer}, student, *MUTUAL, trained=["peer"])
        report = distiller(batch)
        report.total.backward()

        theirs, ours = (network(batch.x) for network in by_hand)
        task = cross_entropy(ours, batch.y) + cross_entropy(theirs, batch.y)
        total = task + 0.5 * divergence(ours, theirs) + 0.25 * divergence(theirs, ours)
        total.backward()
        torch.testing.assert_close(report.total, total)
        torch.testing.assert_close(report.peers["peer"], cross_entropy(theirs, batch.y))
        for network, expected in zip((peer, student), by_hand, strict=True):
            for name, gradient in gradients(expected).items():
                torch.testing.assert_close(gradients(network)[name], gradient)

    def test_what_learns_is_in_parameters_state_and_mode(self) -> None:
        peer, student = networks()
        frozen = Network()
        distiller = distiller_of({"peer": peer, "t": frozen}, student, *MUTUAL, trained=["peer"])
        names = {name.split(".")[0] for name, _ in distiller.named_parameters()}
        assert names == {"student", "peers"}
        assert {key.split(".")[0] for key in distiller.state_dict()} == {"student", "peers"}
        distiller.train()
        assert peer.training
        assert all(parameter.requires_grad for parameter in peer.parameters())
        assert not frozen.training
        assert not any(parameter.requires_grad for parameter in frozen.parameters())

    def test_shares_of_the_gradient_are_taken_where_each_network_has_its_task(self) -> None:
        batch, (peer, student) = batch_of(), networks()
        distiller = distiller_of({"peer": peer.eval()}, student.eval(), *MUTUAL, trained=["peer"])
        shares = distiller(batch).gradient_shares()
        assert all(0 < share < 10 for share in shares.values())

    def test_a_second_pass_is_of_the_network_that_the_term_trains(self) -> None:
        batch, (peer, student) = batch_of(), networks()
        term = gkd.Term("nosmog", student="peer:layers.0", teacher="student:layers.0")
        distiller = distiller_of({"peer": peer}, student, term, trained=["peer"]).prepare(batch)
        value = distiller(batch).terms["nosmog"]
        for network, learns in ((peer, True), (student, False)):
            slopes = torch.autograd.grad(
                value, [*network.parameters()], retain_graph=True, allow_unused=True
            )
            assert any(slope is not None for slope in slopes) == learns

    def test_a_peer_that_is_not_finite_is_named(self) -> None:
        batch, (peer, student) = batch_of(), networks()
        peer.layers[0].weight.data[:] = torch.nan
        with pytest.raises(gkd.NonFiniteError, match="the task loss of 'peer' is nan"):
            distiller_of({"peer": peer}, student, *MUTUAL, trained=["peer"])(batch)

    def test_a_frozen_teacher_cannot_stand_for_the_student(self) -> None:
        term = gkd.Term("kd", student="t:", teacher="student:")
        with pytest.raises(gkd.TapError, match=r"no sub-module 't:'|'t:' is not a tap"):
            distiller_of({"t": Network()}, Network(), term)

    @pytest.mark.parametrize("trained", ["peer", ["per"]])
    def test_trained_names_teachers(self, trained: object) -> None:
        with pytest.raises(ParameterError, match="trained: expected a list of teachers' names"):
            distiller_of({"peer": Network()}, Network(), trained=trained)

    def test_one_that_is_frozen_cannot_learn(self) -> None:
        peer = Network().requires_grad_(False)
        with pytest.raises(ParameterError, match="no parameter of 'peer' requires a gradient"):
            distiller_of({"peer": peer}, Network(), trained=["peer"])

    @pytest.mark.parametrize("name", ["student", "ema"])
    def test_names_that_mean_something_else(self, name: str) -> None:
        with pytest.raises(ParameterError, match="neither 'student' nor 'ema'"):
            distiller_of({name: Network()}, Network())


class TestSelfDistillation:
    def test_the_student_teaches_itself_without_gradient_to_what_teaches(self) -> None:
        class Squared(gkd.AbstractLoss):
            def forward(self, student, teacher):
                assert not teacher.features.requires_grad
                return (student.features.mean(1) - teacher.features.mean(1)).square().mean()

        batch, student = batch_of(), Network().eval()
        term = gkd.Term(Squared(), student="layers.0", teacher="student:layers.1")
        report = distiller_of({}, student, term)(batch)
        hidden = student.layers[0](batch.x)
        expected = (hidden.mean(1) - student(batch.x).mean(1)).square().mean()
        torch.testing.assert_close(report.terms["squared"], expected)
        last = student.layers[1].weight
        assert torch.autograd.grad(report.terms["squared"], last, allow_unused=True) == (None,)

    def test_without_a_teacher_the_error_says_how(self) -> None:
        with pytest.raises(ParameterError, match="there is none; 'student:PATH' compares"):
            distiller_of({}, Network(), gkd.Term("kd"))


class TestMovingAverage:
    def test_it_is_that_of_a_loop_by_hand(self) -> None:
        torch.manual_seed(0)
        batch, student = batch_of(), Network()
        by_hand, average = copy.deepcopy(student), None
        term = gkd.Term(**KD, weight=2.0, teacher="ema:")
        distiller = distiller_of({}, student, term, ema=0.5)
        optimisers = [
            torch.optim.SGD(network.parameters(), lr=0.1) for network in (distiller, by_hand)
        ]
        average = copy.deepcopy(by_hand)
        for step in range(4):
            torch.manual_seed(step)  # of the dropout
            report = distiller(batch)
            optimisers[0].zero_grad()
            report.total.backward()
            optimisers[0].step()
            distiller.update_average()

            torch.manual_seed(step)
            with torch.no_grad():
                theirs = average.eval()(batch.x)
            ours = by_hand(batch.x)
            optimisers[1].zero_grad()
            (cross_entropy(ours, batch.y) + 2.0 * divergence(ours, theirs)).backward()
            optimisers[1].step()
            keep = 0.5 if step else 0.0  # the first takes the weights over
            for old, new in zip(
                average.state_dict().values(), by_hand.state_dict().values(), strict=True
            ):
                old.copy_(keep * old + (1 - keep) * new)
        for name, value in distiller.student.state_dict().items():
            torch.testing.assert_close(value, by_hand.state_dict()[name])
        for name, value in distiller.average.network.named_parameters():
            torch.testing.assert_close(value, dict(average.named_parameters())[name])

    def test_it_is_kept_but_does_not_learn(self) -> None:
        distiller = distiller_of({}, Network(), gkd.Term("kd", teacher="ema:"), ema=0.9)
        assert {name.split(".")[0] for name, _ in distiller.named_parameters()} == {"student"}
        assert any(key.startswith("average.") for key in distiller.state_dict())

    def test_one_that_is_never_updated_is_an_error(self) -> None:
        batch = batch_of()
        distiller = distiller_of({}, Network(), gkd.Term("kd", teacher="ema:"), ema=0.9)
        optimiser = torch.optim.SGD(distiller.parameters(), lr=0.1)
        for _ in range(2):  # gradients of two batches, one step
            distiller(batch).total.backward()
        optimiser.step()
        with pytest.raises(ParameterError, match=r"never updated; call distiller.update_average"):
            distiller(batch)
        distiller.update_average()
        distiller(batch)

    def test_a_cache_keeps_nothing_of_it(self) -> None:
        sample = gkd.Sample(id="a", **vars(batch_of()))
        cache, (teacher, student) = gkd.teacher_cache.TeacherCache(), networks()
        terms = gkd.Term("kd", teacher="teacher:"), gkd.Term("kd", teacher="ema:")
        distiller = distiller_of(teacher, student, *terms, ema=0.9, teacher_cache=cache)
        batch = gkd.collate([sample])
        assert distiller.remember(batch)
        first = distiller(batch).terms["kd-2"]
        with torch.no_grad():
            for weight in student.parameters():
                weight.add_(torch.randn_like(weight))
        distiller.update_average()
        assert distiller.eval()(batch).terms["kd-2"] != first
        assert cache.num_samples == 1

    @pytest.mark.parametrize("decay", [0.0, 1.0, 2, "0.9"])
    def test_a_decay_out_of_its_range(self, decay: object) -> None:
        with pytest.raises(ParameterError, match="ema: expected a decay between 0 and 1"):
            distiller_of({}, Network(), ema=decay)

    @pytest.mark.parametrize("option", [{"teacher_cache": True}, {"target": 0}])
    def test_options_of_another_kind(self, option: dict[str, object]) -> None:
        (name,) = option
        with pytest.raises(ParameterError, match=f"^{name}: expected"):
            distiller_of({}, Network(), **option)

    def test_without_one(self) -> None:
        with pytest.raises(ParameterError, match="made without ema"):
            distiller_of({}, Network()).update_average()
        with pytest.raises((ParameterError, UnknownNameError)):
            distiller_of({}, Network(), gkd.Term("kd", teacher="ema:"))


class TestConnector:
    TAPS = {"student": "layers.0", "teacher": "layers.0"}  # noqa: RUF012

    def squared(self, **options) -> gkd.Term:
        class Squared(gkd.AbstractLoss):
            def forward(self, student, teacher):
                return (student.features - teacher.features).square().mean()

        return gkd.Term(Squared(), **self.TAPS, **options)

    def test_terms_share_the_map_they_name(self) -> None:
        batch, (teacher, student) = batch_of(), networks()
        student.eval()
        terms = self.squared(connector="up", name="a"), self.squared(connector="up", name="b")
        distiller = distiller_of(teacher, student, *terms)
        with pytest.raises(ParameterError, match=r"call distiller.prepare"):
            distiller(batch)
        report = distiller.prepare(batch)(batch)
        names = [name for name, _ in distiller.named_parameters() if "connectors" in name]
        assert names == ["connectors.up.map.weight", "connectors.up.map.bias"]
        up = distiller.connectors["up"].map
        expected = up(student.layers[0](batch.x)) - teacher.layers[0](batch.x)
        torch.testing.assert_close(report.terms["a"], expected.square().mean())
        assert report.terms["a"] == report.terms["b"]

    def test_a_module_of_ones_own(self) -> None:
        batch, (teacher, student) = batch_of(), networks()
        up = nn.Sequential(nn.Linear(4, 7), nn.Tanh())
        distiller = distiller_of(teacher, student, self.squared(connector=up))
        assert distiller(batch).total.isfinite()
        assert any(parameter is up[0].weight for parameter in distiller.parameters())

    def test_a_map_of_other_widths(self) -> None:
        batch, (teacher, student) = batch_of(), networks()
        other = gkd.Term(
            self.squared().loss, student="layers.1", teacher="layers.0", connector="up", name="b"
        )
        terms = self.squared(connector="up", name="a"), other
        with pytest.raises(ParameterError, match="term 'b': connector 'up' maps 4 features to 7"):
            distiller_of(teacher, student, *terms).prepare(batch)

    def test_a_view_without_features(self) -> None:
        with pytest.raises(ParameterError, match="name one for the student"):
            distiller_of(Network(), Network(), gkd.Term("kd", connector="up"))

    @pytest.mark.parametrize("connector", [3, "a.b", ""])
    def test_what_is_no_connector(self, connector: object) -> None:
        with pytest.raises(ParameterError, match="connector"):
            self.squared(connector=connector)


def test_the_weight_of_the_task() -> None:
    batch, (teacher, student) = batch_of(), networks()
    student.eval()
    distiller = distiller_of(teacher, student, gkd.Term("kd"), task_weight={"value": 0.5})
    report = distiller(batch)
    torch.testing.assert_close(report.total, 0.5 * report.task + report.terms["kd"])
    torch.testing.assert_close(report.task, cross_entropy(student(batch.x), batch.y))
