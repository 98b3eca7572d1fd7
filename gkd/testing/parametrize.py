"""Laws as tests of pytest, one each."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from gkd.testing.conformance import ConformanceError, require_known, result_of
from gkd.testing.law import Law
from gkd.testing.laws import laws
from gkd.testing.subject import EXAMPLES, Subject, kind_of, subject

Choice = Any


@dataclass(frozen=True)
class Check:
    """One law for one component, as a test calls it.

    Args:
        law: to hold.
        target: the component.
        expected_failures: laws that it is known to break, with the reason.
    """

    law: Law
    target: Subject
    expected_failures: Mapping[str, str]

    @property
    def id(self) -> str:
        """``kind:name / law``."""
        return f"{self.target.label} / {self.law.name}"

    def __call__(self) -> None:
        """Pass, skip what does not apply or was not tried, or xfail what is expected to.

        Raises:
            ConformanceError: the law is broken, or was expected to be and holds.
        """
        __tracebackhide__ = True
        result = result_of(self.law, self.target, self.expected_failures)
        if not result.passed:
            raise ConformanceError(f"{self.target.label} fails {result}")
        if result.outcome == "not-applicable":
            pytest.skip(result.message)
        if result.outcome == "not-tried":
            pytest.skip(f"not tried: {result.message}")
        if result.outcome == "expected-failure":
            pytest.xfail(result.message)


def checks(
    targets: Iterable[Subject], expected_failures: Mapping[str, str] | None = None
) -> list[Check]:
    """Return every law for every component."""
    made = []
    for target in targets:
        known = require_known(target.kind, expected_failures)
        made += [Check(law, target, known) for law in laws(target.kind)]
    return made


def parametrize_with_checks(
    components: Iterable[Choice],
    *,
    expected_failures: Mapping[str, str] | None = None,
    examples: int = EXAMPLES,
) -> pytest.MarkDecorator:
    """Return a decorator that calls a test once for every law and component, as ``check``.

    What a component declares itself exempt from is skipped with that reason, and so is what cannot
    be tried, as a premise of it fails.

    Args:
        components: classes whose base tells the kind, or tuples ``(kind, component)`` or ``(kind,
            component, parameters)``, with a component as :func:`gkd.testing.check` takes it.
        expected_failures: laws that all of them are known to break, with the reason.
        examples: how many problems most laws try.

    Raises:
        ParameterError: a component's kind does not show, or a law does not exist.

    >>> @parametrize_with_checks([("kernel", "rbf", {"sigma": 2.0})])
    ... def test_laws(check):
    ...     check()
    """
    targets = []
    for choice in components:
        kind, component, *rest = choice if isinstance(choice, tuple) else (kind_of(choice), choice)
        targets.append(subject(kind, component, rest[0] if rest else None, examples))
    made = checks(targets, expected_failures)
    return pytest.mark.parametrize("check", [pytest.param(c, id=c.id) for c in made])
