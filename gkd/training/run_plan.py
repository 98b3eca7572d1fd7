"""How far a run is: which of its networks is trained, and how long the others may take."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from statistics import fmean


def clock(seconds: float) -> str:
    """Return a time as clocks show it.

    >>> clock(80.4), clock(7384.0)
    ('1:20', '2:03:04')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@dataclass
class RunPlan:
    """The networks of a run, and what an epoch of them takes, as far as that is known.

    Args:
        networks: in the order of their training: by whatever names them, method and epochs.
        waiting: those that this process trains, one after another; what others train is not known.
    """

    networks: Mapping[Hashable, tuple[str, int]]
    waiting: set[Hashable] = field(default_factory=set)
    _seconds: dict[str, float] = field(default_factory=dict, init=False)  # of an epoch, by method

    def standing(self, network: Hashable) -> "Standing | None":
        """Return where a network stands; None for one that the plan does not have."""
        if network not in self.networks:
            return None
        number = [*self.networks].index(network) + 1
        return Standing(self, network, number, len(self.networks))

    def epochs(self, network: Hashable) -> int:
        """Return for how many epochs a network is trained; 0 of one that the plan does not have."""
        return self.networks.get(network, ("", 0))[1]

    def seconds_of_others(self, network: Hashable, seconds_per_epoch: float) -> float:
        """Return how long the waiting networks but this one may take.

        An epoch of a method takes as long as it took last; one of which none is known, as long as
        the mean of those that are.

        Args:
            network: which is trained now.
            seconds_per_epoch: that it takes.
        """
        self._seconds[self.networks[network][0]] = seconds_per_epoch
        usual = fmean(self._seconds.values())
        others = (self.networks[one] for one in self.waiting if one != network)
        return sum(epochs * self._seconds.get(method, usual) for method, epochs in others)


@dataclass(frozen=True)
class Standing:
    """Where a network stands in its run.

    Args:
        plan: of the run.
        network: as the plan names it.
        number: from 1.
        count: of all networks.
    """

    plan: RunPlan
    network: Hashable
    number: int
    count: int

    def seconds_of_others(self, seconds_per_epoch: float) -> float:
        """Return how long those that wait for this one may take; see :class:`RunPlan`."""
        return self.plan.seconds_of_others(self.network, seconds_per_epoch)

    def __str__(self) -> str:
        return f"[{self.number}/{self.count}]"
