"""Laws: named statements about a component, and the search for what breaks them."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from hypothesis.strategies import SearchStrategy

from gkd.errors.causes import Problem
from gkd.testing.description import description
from gkd.testing.search import Counterexample, counterexample
from gkd.testing.subject import Subject, declaration

# Problems that are tried, where one is known to break a law, before smaller ones of it.
_MORE = 100


class LawViolation(AssertionError):
    """A component broke a law.

    Args:
        message: what it did.
        example: the smallest problem found on which it did, ``""`` where there is only one.
    """

    def __init__(self, message: str, example: str = "") -> None:
        super().__init__(f"{message}\nsmallest example:\n{example}" if example else message)
        self.message = message
        self.example = example


def nobody(subject: Subject) -> str:
    """Exempt no component."""
    return ""


@dataclass(frozen=True, slots=True)
class Law:
    """One statement about all components of a kind.

    Args:
        kind: of the components.
        name: in kebab case.
        reason: why it matters, in one sentence.
        body: raises when the law is broken; called with the subject and, if there is one, a
            problem.
        problems: strategy of the problems to try; None where there are none.
        exemption: why a component's declarations exempt it, ``""`` where they do not.
        share: of the number of examples that is spent here; less for costly laws.
        premise: whether the others ask for what it asks for: where it is broken they tell nothing
            new, and are not tried.
    """

    kind: str
    name: str
    reason: str
    body: Callable[..., None]
    problems: Callable[[Subject], SearchStrategy[Any]] | None = None
    exemption: Callable[[Subject], str] = nobody
    share: float = 1.0
    premise: bool = False

    def check(self, subject: Subject, smallest: bool = True) -> None:
        """Look for a problem on which ``subject`` breaks the law.

        Args:
            subject: the component.
            smallest: whether to go on and look for a smaller one.

        Raises:
            LawViolation: there is one.
        """
        found = self._counterexample(subject, smallest)
        if found is None:
            return
        error = found.error
        if isinstance(error, AssertionError):
            message = str(error)
        else:  # the component crashed: say where in its module, as no stack is shown
            message = str(Problem.of(error, subject.module))
        example = "" if found.problem is None else description(found.problem)
        raise LawViolation(message, example) from error

    def _counterexample(self, subject: Subject, smallest: bool) -> Counterexample | None:
        examples = max(1, round(subject.examples * self.share))
        try:
            if self.problems is None:
                self.body(subject)
                return None
            found = self._search(self.problems(subject), subject, examples, smallest=False)
        except Exception as error:  # also of the component that is asked which problems it takes
            return Counterexample(None, error)
        if found is None or not smallest:
            return found
        afresh = subject.afresh
        # One breaks it: of more that are drawn anew another does, or all may be fine.
        more = max(examples, _MORE)
        return self._search(self.problems(afresh), afresh, more, smallest=True) or found

    def _search(
        self, problems: SearchStrategy[Any], subject: Subject, examples: int, smallest: bool
    ) -> Counterexample | None:
        return counterexample(partial(self.body, subject), problems, examples, smallest)


def law(
    kind: str,
    *,
    problems: Callable[[Subject], SearchStrategy[Any]] | None = None,
    exemption: Callable[[Subject], str] = nobody,
    share: float = 1.0,
    premise: bool = False,
) -> Callable[[Callable[..., None]], Law]:
    """Return a decorator that makes a law of a function: its name, and the reason it documents.

    A module ``gkd.testing.laws.<kind>_laws`` needs no more than that: what stands in it is checked,
    in that order.
    """

    def made(body: Callable[..., None]) -> Law:
        name = body.__name__.replace("_", "-")
        reason = inspect.getdoc(body) or name
        return Law(kind, name, reason, body, problems, exemption, share, premise)

    return made


def unless_declared(attribute: str, exempting: Any = False) -> Callable[[Subject], str]:
    """Return the exemption of components whose ``attribute`` is ``exempting``."""

    def exemption(subject: Subject) -> str:
        exempt = declaration(subject, attribute) == exempting
        return f"declared: {attribute} = {exempting}" if exempt else ""

    return exemption
