"""What checking returns, refuses and says."""

import json
from dataclasses import replace
from typing import Literal

import broken_datasets
import broken_graphs
import broken_kernels
import broken_losses
import broken_models
import broken_tasks
import broken_weighers
import pytest
import torch
from torch import nn

from gkd import DataError, GkdError, ParameterError, PluginError, UnknownNameError, testing
from gkd.testing.conformance import Report, Result, result_of
from gkd.testing.law import Law, law
from gkd.testing.parametrize import checks

FEW = {"examples": 3}
CHECKS = {
    "loss": testing.check_loss,
    "kernel": testing.check_kernel,
    "graph": testing.check_graph_builder,
    "model": testing.check_model,
    "dataset": testing.check_dataset,
    "task": testing.check_task,
}


@pytest.mark.parametrize("kind", CHECKS)
def test_every_law_has_a_name_and_a_sentence_for_a_reason(kind):
    laws = testing.laws(kind)
    assert len({one.name for one in laws}) == len(laws) >= 10
    for one in laws:
        assert one.kind == kind
        assert one.name == one.name.lower().replace("_", "-")
        assert one.reason[0].isupper()
        assert one.reason.endswith(".")
        assert ". " not in one.reason


def test_a_report_has_a_result_for_every_law():
    report = testing.check_kernel(broken_kernels.GOOD, **FEW)
    assert (report.kind, report.name, report.passed) == ("kernel", "near", True)
    assert [result.law for result in report.results] == [one.name for one in testing.laws("kernel")]
    assert {result.outcome for result in report.results} == {"passed"}
    assert report.seconds == pytest.approx(sum(result.seconds for result in report.results))
    report.raise_if_failed()


def test_a_failure_names_the_law_its_reason_and_the_smallest_example():
    report = testing.check_kernel(broken_kernels.ByNumber, **FEW)
    assert not report.passed
    with pytest.raises(testing.ConformanceError) as caught:
        report.raise_if_failed()
    message = str(caught.value)
    assert "kernel 'by-number' fails" in message
    assert "equivariant-to-node-relabelling: failed: other order of nodes" in message
    assert "Numbers of nodes are names" in message
    # Nothing smaller breaks it: two nodes, one edge, the other order.
    assert "2 nodes, 1 edge:" in message
    assert "order: int64 [2] [1, 0]" in message
    assert isinstance(caught.value, GkdError)
    assert isinstance(caught.value, AssertionError)


def test_a_crash_is_a_failure_that_names_the_place():
    result = _result(broken_losses.Unexplained, "says-what-is-missing")
    assert result.outcome == "failed"
    assert "require_features" in result.message
    result = _result(broken_losses.Crashes, "finite-and-scalar")
    assert "The size of tensor a" in result.message
    assert "broken_losses.py:" in result.message


def test_a_report_is_json():
    report = testing.check_kernel(broken_kernels.Columns, **FEW)
    content = json.loads(json.dumps(report.to_dict()))
    assert (content["kind"], content["name"], content["passed"]) == ("kernel", "columns", False)
    assert set(content["results"][0]) == {
        *("law", "reason", "outcome", "seconds", "message", "example")
    }
    assert content["results"][0]["outcome"] == "failed"
    assert "edges" in content["results"][0]["example"]


def _result(component, name: str, expected=None) -> Result:
    (one,) = (found for found in testing.laws("loss") if found.name == name)
    return result_of(one, testing.subject("loss", component, examples=5), expected or {})


def test_an_expected_failure_that_fails_is_no_error():
    expected = {"non-negative": "it is a reward"}
    result = _result(broken_losses.Negative, "non-negative", expected)
    assert (result.outcome, result.message, result.passed) == (
        "expected-failure",
        "it is a reward",
        True,
    )


def test_an_expected_failure_that_passes_is_an_error():
    result = _result(broken_losses.GOOD, "non-negative", {"non-negative": "it was a reward"})
    assert (result.outcome, result.passed) == ("unexpected-pass", False)
    assert "it was a reward" in result.message


def test_an_expected_failure_that_does_not_apply_is_an_error():
    class Signed(broken_losses.Norms):
        non_negative = False

    result = _result(Signed, "non-negative", {"non-negative": "it is a reward"})
    assert (result.outcome, result.passed) == ("unexpected-pass", False)
    assert _result(Signed, "non-negative").outcome == "not-applicable"


def test_expected_failures_name_laws_and_give_reasons():
    with pytest.raises(ParameterError, match="did you mean 'non-negative'"):
        testing.check_loss(broken_losses.GOOD, expected_failures={"non_negative": "why"})
    with pytest.raises(ParameterError, match="needs a reason"):
        testing.check_loss(broken_losses.GOOD, expected_failures={"non-negative": " "})


def test_fewer_laws_than_there_are_is_an_error():
    whole = testing.check_kernel(broken_kernels.GOOD, **FEW)
    part = replace(whole, results=whole.results[1:])
    assert not part.passed
    with pytest.raises(testing.ConformanceError, match="not checked: finite-and-one-per-edge"):
        part.raise_if_failed()
    assert not Report("kernel", "none", whole.expected, ()).passed


def test_a_law_that_finds_no_problem_to_try_is_broken():
    from hypothesis import strategies as st

    impossible = Law(
        "loss", "none", "None.", lambda subject, problem: None, lambda subject: st.nothing()
    )
    with pytest.raises(Exception, match=r"(?i)unsatisf|nothing|empty"):
        impossible.check(testing.subject("loss", broken_losses.GOOD))


def test_a_law_of_a_function_has_its_name_and_documentation():
    @law("loss")
    def holds_always(subject):
        """It is true."""

    assert (holds_always.name, holds_always.reason) == ("holds-always", "It is true.")
    holds_always.check(testing.subject("loss", broken_losses.GOOD))


def test_the_same_problems_are_tried_every_time():
    first, second = (_result(broken_losses.Negative, "non-negative") for _ in range(2))
    assert (first.message, first.example) == (second.message, second.example)


def test_checking_leaves_the_random_state_alone():
    import torch

    before = torch.get_rng_state()
    testing.check_kernel(broken_kernels.GOOD, **FEW)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("kind", CHECKS)
def test_unknown_names_suggest_the_nearest(kind):
    with pytest.raises(UnknownNameError, match=f"no {kind} is called 'nonsense'"):
        CHECKS[kind]("nonsense")


def test_an_unknown_kind_suggests_the_nearest():
    with pytest.raises(UnknownNameError, match="did you mean 'kernel'"):
        testing.check("kernal", broken_kernels.GOOD)


def test_an_instance_is_refused_since_laws_need_several():
    with pytest.raises(ParameterError, match="checked by its class"):
        testing.check_loss(broken_losses.GOOD())


def test_parameters_are_checked_as_in_recipes():
    with pytest.raises(ParameterError, match="did you mean 'sigma'"):
        testing.check_kernel("rbf", params={"sigm": 1.0})
    with pytest.raises(ParameterError, match="unknown parameter 'scale'"):
        testing.check_kernel(broken_kernels.GOOD, params={"scale": 1.0})


def test_a_factory_that_makes_something_else_is_refused():
    with pytest.raises(GkdError, match="must be AbstractKernel"):
        testing.check_kernel(lambda: broken_losses.GOOD())


class Unmakeable(broken_losses.Norms):
    def __init__(self):
        raise RuntimeError("no")


def test_a_component_that_cannot_be_made_is_one_failure():
    report = testing.check_loss(Unmakeable, **FEW)
    assert not report.passed
    assert [result.message for result in report.failures] == ["it cannot be made: RuntimeError: no"]
    assert {result.outcome for result in report.results[1:]} == {"not-tried"}
    assert {result.message for result in report.results[1:]} == {"it cannot be made"}


PREMISES = {
    "loss": [broken_losses.PerNode, broken_losses.Crashes, broken_losses.EqualWidthsOnly],
    "kernel": [broken_kernels.Columns],
    "graph": broken_graphs.BROKEN["valid-indices"],
    "model": broken_models.BROKEN["finite-logits"],
    "dataset": broken_datasets.BROKEN["splits-are-sequences"],
    "task": broken_tasks.BROKEN["finite-and-scalar"],
    "weigher": broken_weighers.BROKEN["finite-and-one-per-row"],
}


@pytest.mark.parametrize("kind", PREMISES)
def test_where_a_premise_is_broken_it_is_the_only_failure(kind):
    for component in PREMISES[kind]:
        report = testing.check(kind, component, examples=8)
        (failure,) = report.failures
        place = report.results.index(failure)
        later = report.results[place + 1 :]
        assert {result.outcome for result in later} == {"not-tried"}
        assert {result.message for result in later} == {f"{failure.law} fails"}
        assert all(result.passed for result in report.results[:place])


def test_the_rest_is_tried_where_the_premise_is_expected_to_fail():
    expected = {"finite-and-one-per-edge": "a value per feature"}
    report = testing.check_kernel(broken_kernels.Columns, expected_failures=expected, **FEW)
    outcomes = {result.law: result.outcome for result in report.results}
    assert outcomes["finite-and-one-per-edge"] == "expected-failure"
    assert "not-tried" not in outcomes.values()


def test_a_premise_is_tried_once():
    tried, tried_first = [], 0

    class Counted(broken_losses.PerNode):
        def forward(self, student, teacher):
            tried.append(1)
            return super().forward(student, teacher)

    for check in checks([testing.subject("loss", Counted, examples=2)])[3:]:
        with pytest.raises(pytest.skip.Exception, match="not tried: finite-and-scalar fails"):
            check()
        tried_first = tried_first or len(tried)
    assert len(tried) == tried_first > 0


def test_a_part_of_a_view_that_does_not_exist_is_a_wrong_declaration():
    class Misspelt(broken_losses.Norms):
        uses = ("feature", "graph")

    (failure,) = testing.check_loss(Misspelt, **FEW).failures
    assert failure.law == "finite-and-scalar"
    assert "did you mean 'features'" in failure.message


def test_a_parameter_that_is_no_temperature_is_told_from_one():
    name = "gradient-lasts-at-high-temperatures"
    assert _result(broken_losses.FadingByTau, name).outcome == "failed"
    patient = _result(broken_losses.Patient, name)
    assert patient.outcome == "not-applicable"
    assert patient.message.startswith("it has no temperature; temperature_names says")
    assert _result(broken_losses.Soft, name).outcome == "passed"

    class Momentum(broken_losses.FadingByTau):
        def __init__(self, tau: Literal[0.9, 0.99] = 0.9):
            super().__init__(tau)

    assert _result(Momentum, name).outcome == "not-applicable"  # it is never as high as 4


class InSingle(broken_losses.GOOD):
    def forward(self, student, teacher):
        return super().forward(student, teacher).float()


class TensorForATarget(broken_losses.GOOD):
    def target(self, teacher):
        return self.sums(teacher)


class Infinite(broken_losses.GOOD):
    def forward(self, student, teacher):
        return (super().forward(student, teacher) - 1).sqrt()


class MadeInAStep(broken_losses.GOOD):
    def __init__(self):
        super().__init__()
        self.scale = None

    def forward(self, student, teacher):
        if self.scale is None:
            self.scale = nn.Parameter(torch.ones((), device=student.features.device))
        return super().forward(student, teacher) * self.scale.to(student.features.dtype)


class Levels(broken_tasks.GOOD):
    def check(self, outputs, y):
        raise DataError("expected whole numbers")


class DictOfMetrics(broken_tasks.GOOD):
    def metrics(self, num_classes):
        return dict(super().metrics(num_classes))


@pytest.mark.parametrize(
    ("kind", "component", "law", "words"),
    [
        ("loss", InSingle, "gradcheck-in-float64", "of float64 it makes torch.float32"),
        (
            "loss",
            TensorForATarget,
            "target-stands-for-the-teacher",
            r"target\(teacher\) returns Tensor, not a gkd.View",
        ),
        (
            "loss",
            MadeInAStep,
            "state-dict-round-trip",
            "the learned part scale is made in a step, .* make it in build",
        ),
        (
            "loss",
            broken_losses.KeepsTheGraph,
            "steps-do-not-hang-together",
            r"^mean keeps the graph of a step; detach\(\) it$",
        ),
        (
            "loss",
            broken_losses.ListsTheGraph,
            "steps-do-not-hang-together",
            r"^values keeps the graph of a step",
        ),
        ("task", Levels, "finite-and-scalar", r"expected whole numbers; a task of .* example\("),
        ("task", DictOfMetrics, "says-what-it-is", r"returns dict, not a torchmetrics.Metric"),
    ],
)
def test_a_failure_says_what_an_author_can_mend(kind, component, law, words):
    (one,) = [one for one in testing.laws(kind) if one.name == law]
    with pytest.raises(testing.LawViolation, match=words):
        one.check(testing.subject(kind, component, examples=5), smallest=False)


def test_what_is_no_number_is_as_equal_as_a_number():
    (one,) = [one for one in testing.laws("loss") if one.name == "deterministic-under-a-seed"]
    one.check(testing.subject("loss", Infinite, examples=5))


class Unfinished(broken_losses.GOOD):
    def __init__(self):
        self.weight = 1.0


def test_a_module_that_is_not_set_up_is_told_by_what_was_forgotten():
    with pytest.raises(PluginError, match=r"Unfinished.__init__ does not call super\(\).__init__"):
        testing.check("loss", Unfinished, **FEW)


class FitsWholeNumbers(broken_tasks.GOOD):
    """Takes outputs of whole numbers, of which its loss is in single precision."""

    def check(self, outputs, y):
        super().check(outputs.double(), y)


def test_a_loss_of_other_digits_is_compared_all_the_same():
    (one,) = [o for o in testing.laws("task") if o.name == "metrics-take-the-rows-of-the-loss"]
    one.check(testing.subject("task", FitsWholeNumbers, examples=5))
