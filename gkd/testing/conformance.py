"""Checking a component against all laws of its kind, and what that found."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from textwrap import indent
from typing import Any, Literal

from gkd.errors import GkdError, ParameterError, suggestion
from gkd.errors.causes import describe
from gkd.testing.law import Law, LawViolation
from gkd.testing.laws import laws
from gkd.testing.subject import EXAMPLES, Subject, subject

Component = str | Callable[..., Any]
Outcome = Literal[
    "passed", "failed", "expected-failure", "unexpected-pass", "not-applicable", "not-tried"
]
_BAD = ("failed", "unexpected-pass")


class ConformanceError(GkdError, AssertionError):
    """A component breaks a law, or was not checked against all of them."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one law says of the component.

    Args:
        law: its name.
        reason: why it matters, in one sentence.
        outcome: ``"failed"`` and ``"unexpected-pass"`` are errors; a law is ``"not-tried"`` where
            another's failure stands for it.
        seconds: how long it took.
        message: why it failed, was expected to, does not apply or was not tried; ``""`` when it
            passed.
        example: the smallest problem found that breaks the law, ``""`` where there is none.
    """

    law: str
    reason: str
    outcome: Outcome
    seconds: float
    message: str = ""
    example: str = ""

    @property
    def passed(self) -> bool:
        """Whether the result is no error."""
        return self.outcome not in _BAD

    def __str__(self) -> str:
        head = f"{self.law}: {self.outcome}" + (f": {self.message}" if self.message else "")
        example = f"\nsmallest example:\n{indent(self.example, '  ')}" if self.example else ""
        return f"{head}\n  ({self.reason}){indent(example, '  ')}"


@dataclass(frozen=True, slots=True)
class Report:
    """Every law of a kind, and what it says of one component.

    Args:
        kind: of the component.
        name: of the component, with its parameters.
        expected: names of all laws of this kind.
        results: in the order of the laws.
    """

    kind: str
    name: str
    expected: tuple[str, ...]
    results: tuple[Result, ...]

    @property
    def passed(self) -> bool:
        """Whether all laws of the kind were looked at and none is an error."""
        return not any(True for _ in self._errors())

    @property
    def failures(self) -> tuple[Result, ...]:
        """The results that are errors."""
        return tuple(result for result in self.results if not result.passed)

    @property
    def seconds(self) -> float:
        """How long all of it took."""
        return sum(result.seconds for result in self.results)

    def raise_if_failed(self) -> None:
        """Raise :class:`ConformanceError`, with the smallest failing examples, unless it passed."""
        errors = list(self._errors())
        if errors:
            raise ConformanceError("\n".join([f"{self.kind} {self.name!r} fails:", *errors]))

    def to_dict(self) -> dict[str, Any]:
        """Return everything as what JSON can hold."""
        return {
            "kind": self.kind,
            "name": self.name,
            "passed": self.passed,
            "seconds": self.seconds,
            "results": [asdict(result) for result in self.results],
        }

    def _errors(self) -> Iterator[str]:
        yield from (indent(str(result), "  ") for result in self.failures)
        missing = set(self.expected) - {result.law for result in self.results}
        if missing:
            yield f"  not checked: {', '.join(sorted(missing))}"


def check(
    kind: str,
    component: Component,
    *,
    expected_failures: Mapping[str, str] | None = None,
    params: Mapping[str, Any] | None = None,
    examples: int = EXAMPLES,
) -> Report:
    """Check a component against every law of its kind.

    Args:
        kind: loss, kernel, graph, model, dataset, task or weigher.
        component: a class, a function that makes the component, or the name of an installed one
            (``"name"`` or ``"distribution:name"``).
        expected_failures: laws that it is known to break, with the reason; a law listed here that
            holds is an error.
        params: what it is made with; by default the first of its ``example_parameters``.
        examples: how many problems most laws try.

    Returns:
        One result per law; what the component declares not to do is ``"not-applicable"``, and
        where a premise of the others fails, such as that a loss is a finite scalar, they are
        ``"not-tried"``.

    Raises:
        UnknownNameError: no such kind, component or law.
        ParameterError: the parameters do not fit the component.
    """
    return check_subject(subject(kind, component, params, examples), expected_failures)


def check_subject(target: Subject, expected_failures: Mapping[str, str] | None = None) -> Report:
    """Return what every law of its kind says of ``target``."""
    known = require_known(target.kind, expected_failures)
    expected = laws(target.kind)
    results = tuple(result_of(law, target, known) for law in expected)
    return Report(target.kind, target.name, tuple(law.name for law in expected), results)


def require_known(kind: str, expected_failures: Mapping[str, str] | None) -> Mapping[str, str]:
    """Return the expected failures; :class:`ParameterError` where one names no law of the kind."""
    names = [law.name for law in laws(kind)]
    for name, reason in (expected_failures or {}).items():
        if name not in names:
            raise ParameterError(
                f"no law of a {kind} is called {name!r}; {suggestion(name, names)}"
            )
        if not isinstance(reason, str) or not reason.strip():
            raise ParameterError(f"the expected failure of {name!r} needs a reason, got {reason!r}")
    return dict(expected_failures or {})


def result_of(law: Law, target: Subject, expected_failures: Mapping[str, str]) -> Result:
    """Return what ``law`` says of ``target``.

    What the component declares itself exempt from does not apply. Where it cannot be made, or a
    premise fails that nobody expected to, that is one failure, and the other laws are not tried.

    Raises:
        GkdError: the component cannot be made with these parameters.
    """
    begin = time.perf_counter()
    expected = expected_failures.get(law.name)

    def result(outcome: Any, message: str = "", example: str = "") -> Result:
        seconds = time.perf_counter() - begin
        return Result(law.name, law.reason, outcome, seconds, message, example)

    before = laws(law.kind)
    before = before[: before.index(law)] if law in before else ()
    try:
        _ = target.specimen
    except Exception as error:
        if before:
            return result("not-tried", "it cannot be made")
        if isinstance(error, GkdError):
            raise
        return result("failed", f"it cannot be made: {describe(error)}")
    for one in before:
        tried = one.premise and one.name not in expected_failures and not one.exemption(target)
        if tried and _violation(one, target):
            return result("not-tried", f"{one.name} fails")
    exemption = law.exemption(target)
    if exemption:
        outcome = "not-applicable" if expected is None else "unexpected-pass"
        return result(outcome, exemption)
    violation = _violation(law, target, smallest=expected is None)
    if violation is None and expected is None:
        return result("passed")
    if violation is None:
        return result("unexpected-pass", f"it was expected to fail ({expected}), but holds")
    if expected is None:
        return result("failed", violation.message, violation.example)
    return result("expected-failure", expected, violation.example)


def _violation(law: Law, target: Subject, smallest: bool = True) -> LawViolation | None:
    """Return how ``target`` breaks ``law``, None where it does not."""
    found: dict[str, LawViolation | None] = target.known if law.premise else {}
    if law.name not in found:
        try:
            law.check(target, smallest)
            found[law.name] = None
        except LawViolation as violation:
            found[law.name] = violation
    return found[law.name]


check_loss = partial(check, "loss")
check_kernel = partial(check, "kernel")
check_graph_builder = partial(check, "graph")
check_model = partial(check, "model")
check_dataset = partial(check, "dataset")
check_task = partial(check, "task")
check_weigher = partial(check, "weigher")
