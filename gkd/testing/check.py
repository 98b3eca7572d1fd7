"""Checking a component against all laws of its kind."""

import time
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from gkd.errors import GkdError, ParameterError, suggestion
from gkd.hosting.plugin_sources import described
from gkd.testing.law import Law, LawViolation
from gkd.testing.law_book import laws
from gkd.testing.report import Report, Result
from gkd.testing.subject import EXAMPLES, Subject, subject

Component = str | Callable[..., Any]


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
        kind: loss, kernel, graph, model or dataset.
        component: a class, a function that makes the component, or the name of an installed one
            (``"name"`` or ``"distribution:name"``).
        expected_failures: laws that it is known to break, with the reason; a law listed here that
            holds is an error.
        params: what it is made with; by default the first of its ``example_parameters``.
        examples: how many problems most laws try.

    Returns:
        One result per law; what the component declares not to do is ``"not-applicable"``.

    Raises:
        UnknownNameError: no such kind, component or law.
        ParameterError: the parameters do not fit the component.
    """
    return checked(subject(kind, component, params, examples), expected_failures)


def checked(target: Subject, expected_failures: Mapping[str, str] | None = None) -> Report:
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

    A law that the component declares itself exempt from is not tried.

    Raises:
        GkdError: the component cannot be made with these parameters.
    """
    begin = time.perf_counter()
    expected = expected_failures.get(law.name)

    def result(outcome: Any, message: str = "", example: str = "") -> Result:
        seconds = time.perf_counter() - begin
        return Result(law.name, law.reason, outcome, seconds, message, example)

    try:
        _ = target.specimen
    except GkdError:
        raise
    except Exception as error:
        return result("failed", f"it cannot be made: {described(error)}")
    exemption = law.exemption(target)
    if exemption:
        outcome = "not-applicable" if expected is None else "unexpected-pass"
        return result(outcome, exemption)
    try:
        law.check(target, smallest=expected is None)
    except LawViolation as violation:
        if expected is None:
            return result("failed", violation.message, violation.example)
        return result("expected-failure", expected, violation.example)
    if expected is None:
        return result("passed")
    return result("unexpected-pass", f"it was expected to fail ({expected}), but holds")


check_loss = partial(check, "loss")
check_kernel = partial(check, "kernel")
check_graph_builder = partial(check, "graph")
check_model = partial(check, "model")
check_dataset = partial(check, "dataset")
