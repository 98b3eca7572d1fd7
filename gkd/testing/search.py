"""The search for the smallest problem that breaks a law, and problems that are drawn once."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import hypothesis
from hypothesis import strategies as st
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

    The same problems are tried every time, whatever the body: whether a law holds is no matter of
    luck.

    Args:
        body: raises what it likes.
        problems: to choose from.
        examples: how many to try.
        smallest: whether to make the one that was found smaller.
    """
    found: list[Counterexample] = []
    tried_since = 0
    pool = _POOL_OF.get(problems, ())
    for problem in pool[:examples]:
        try:
            _try(body, problem)
        except Exception as error:
            return Counterexample(problem, error)
    if pool:
        return None

    # A seed, as derandomize alone would read and hash the source of attempt in every search.
    @hypothesis.seed(1)
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
        try:
            _try(body, problem)
        except HypothesisException:  # how assume() and the search itself speak, not the component
            raise
        except Exception as error:
            found[:] = [Counterexample(problem, error)]
            raise

    try:
        attempt()
    except Exception:
        # The last one that failed is the smallest. Without any, the search itself failed.
        if not found:
            raise
    return found[-1] if found else None


def _try(body: Callable[[Any], None], problem: Any) -> None:
    # A component may modify what it is given: the report shows what it was given, and other laws
    # may try the same.
    body(deepcopy(problem))


def once_drawn(
    problems: Callable[..., SearchStrategy[Any]], examples: int, *arguments: Any, **options: Any
) -> SearchStrategy[Any]:
    """Choose among the first problems of a strategy, which are drawn once in a process.

    To draw a problem takes longer than to try most laws on it, and most laws of a kind take the
    same problems. A choice among them cannot be made smaller: that is left to the strategy.

    Args:
        problems: returns the strategy.
        examples: how many problems there are.
        *arguments: of ``problems``; hashable.
        **options: of ``problems``; hashable.
    """
    pool = _pool(problems, examples, arguments, tuple(sorted(options.items())))
    choice = st.integers(0, len(pool) - 1).map(lambda index: pool[index])
    _POOL_OF[choice] = pool
    return choice


# Strategies that choose among these: to try each of them takes no search.
_POOL_OF: WeakKeyDictionary[SearchStrategy[Any], Sequence[Any]] = WeakKeyDictionary()


@cache
def _pool(
    problems: Callable[..., SearchStrategy[Any]],
    examples: int,
    arguments: tuple[Any, ...],
    options: tuple[tuple[str, Any], ...],
) -> list[Any]:
    pool: list[Any] = []
    counterexample(pool.append, problems(*arguments, **dict(options)), examples, smallest=False)
    return pool
