"""What the gradients of terms were beside the task's: which had a say, and for how long."""

from collections.abc import Sequence

from gkd.distillation.gradients import DEAD, DROWNING
from gkd.report.summary import Summary

_SHARE = "share/"
_REMEDY = (
    "A larger weight, weight = { gradient_share = 0.1 }, or a wider bandwidth of its kernel may "
    "give it a say."
)


def term_states(networks: Sequence[Summary]) -> list[str]:
    """One sentence for each term of a method that was dead from some epoch on, or drowned the task.

    Args:
        networks: of one method, of all seeds.
    """
    sentences = []
    for term, shares in _shares(networks).items():
        deaths = [epoch for each in shares if (epoch := dead_since(each)) is not None]
        if deaths:
            first, last = min(deaths), max(deaths)
            when = f"epoch {first}" if first == last else f"epoch {first} to {last}"
            sentences.append(
                f"The term {term!r} was dead from {when} on"
                f"{_of(len(deaths), len(networks))}: its gradient was below {100 * DEAD:g} % of "
                f"the task's. {_REMEDY}"
            )
        largest = [max(each.values(), default=0.0) for each in shares]
        if drowned := sum(share > DROWNING for share in largest):
            sentences.append(
                f"The term {term!r} drowned the task{_of(drowned, len(networks))}: its gradient "
                f"was up to {max(largest):.3g} times the task's."
            )
    return sentences


def never_acted(networks: Sequence[Summary]) -> bool:
    """Whether no term of a method ever had a say, with any seed, as far as was measured.

    Args:
        networks: of one method, of all seeds.
    """
    shares = [each for of_term in _shares(networks).values() for each in of_term]
    return bool(shares) and all(each and dead_since(each) == min(each) for each in shares)


def _shares(networks: Sequence[Summary]) -> dict[str, list[dict[int, float]]]:
    """By term, what share of the task's its gradient was by epoch, from 1, for each network."""
    names = {key for one in networks for row in one.history for key in row}
    return {
        name.removeprefix(_SHARE): [
            {int(row["epoch"]): row[name] for row in one.history if name in row} for one in networks
        ]
        for name in sorted(names)
        if name.startswith(_SHARE)
    }


def dead_since(shares: dict[int, float]) -> int | None:
    """Return the epoch from which on a term had no say; None where it had in the last.

    Args:
        shares: of the task's gradient, by epoch.

    >>> dead_since({1: 0.2, 2: 1e-5, 3: 1e-6}), dead_since({1: 1e-5, 2: 0.2})
    (2, None)
    """
    since = None
    for epoch, share in sorted(shares.items(), reverse=True):
        if share >= DEAD:
            break
        since = epoch
    return since


def _of(count: int, total: int) -> str:
    return "" if count == total else f" with {count} of {total} seeds"
