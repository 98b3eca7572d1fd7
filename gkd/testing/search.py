"""The search for the smallest problem that breaks a law."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any, NamedTuple

import hypothesis
from hypothesis.errors import HypothesisException
from hypothesis.strategies import SearchStrategy

# Problems that are tried to make the first one found smaller.
_SMALLER = 200
_FINDING, _SHRINKING = (hypothesis.Phase.generate,), (hypothesis.Phase.shrink,)


class Counterexample(NamedTuple):
    """A problem and what went wrong with it.

    Attributes:
        problem: as it was before the component saw it; None where a law has no problems.
        error: what was raised.
    """

    problem: Any
    error: Exception


def counterexample(
    body: Callable[[Any], None],
    problems: SearchStrategy[Any],
    examples: int,
    smallest: bool = True,
) -> Counterexample | None:
    """Return one of ``problems`` on which ``body`` raises, None if none is found.

    The same problems are tried every time: whether a law holds is no matter of luck.

    Args:
        body: raises what it likes.
        problems: to choose from.
        examples: how many to try.
        smallest: whether to make the one that was found smaller.
    """
    found: list[Counterexample] = []
    tried_since = 0

    @hypothesis.settings(
        max_examples=examples,
        # No luck and no memory of former runs; a slow component breaks no law by being slow.
        derandomize=True,
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=list(hypothesis.HealthCheck),
        phases=_FINDING + _SHRINKING if smallest else _FINDING,
    )
    @hypothesis.given(problems)
    def attempt(problem: Any) -> None:
        nonlocal tried_since
        tried_since += bool(found)
        if tried_since > _SMALLER:
            return  # this ends the search: nothing smaller seems to fail any more
        # Components may modify what they are given: the report shows what they were given.
        before = deepcopy(problem)
        try:
            body(problem)
        except HypothesisException:  # how assume() and the search itself speak, not the component
            raise
        except Exception as error:
            found[:] = [Counterexample(before, error)]
            raise

    try:
        attempt()
    except Exception:
        # The last one that failed is the smallest. Without any, the search itself failed.
        if not found:
            raise
    return found[-1] if found else None
