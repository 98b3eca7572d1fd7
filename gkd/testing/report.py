"""What checking a component found, law by law."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from textwrap import indent
from typing import Any, Literal

from gkd.errors import GkdError

Outcome = Literal["passed", "failed", "expected-failure", "unexpected-pass", "not-applicable"]
_BAD = ("failed", "unexpected-pass")


class ConformanceError(GkdError, AssertionError):
    """A component breaks a law, or was not checked against all of them."""


@dataclass(frozen=True, slots=True)
class Result:
    """What one law says of the component.

    Args:
        law: its name.
        reason: why it matters, in one sentence.
        outcome: ``"failed"`` and ``"unexpected-pass"`` are errors.
        seconds: how long it took.
        message: why it failed, was expected to, or does not apply; ``""`` when it passed.
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
