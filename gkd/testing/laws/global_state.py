"""What belongs to the whole process: a component that changes it changes everything else."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch

from gkd.testing.laws.requirements import require
from gkd.testing.subject import fixed_seed

_SEEDS = (7_919, 104_729)  # that nobody takes


def require_left_alone(act: Callable[[], object], what: str) -> None:
    """Require that ``act`` seeds nothing anew and leaves the settings of torch; it may draw.

    Args:
        act: does what is looked at.
        what: it is, for messages.
    """
    after = []
    for seed in _SEEDS:
        with fixed_seed(seed), _usual_settings():
            before = _settings()
            act()
            after.append(_random_states())
            for setting, value in _settings().items():
                kept = value == before[setting]
                require(kept, f"{what} changes {setting} from {before[setting]} to {value}")
    for library, state in after[0].items():
        # Whatever it drew, two seeds lead to two states.
        require(
            state != after[1][library],
            f"{what} seeds {library} anew, for all that draws from it later: draw from a generator "
            "of its own",
        )


def require_nothing_drawn(act: Callable[[], object], what: str) -> None:
    """Require of ``act`` what :func:`require_left_alone` does, and that it draws nothing."""
    require_left_alone(act, what)
    require_undrawn(act, what)


def require_undrawn(act: Callable[[], object], what: str, instead: str = "") -> None:
    """Require that ``act`` draws nothing from what belongs to the whole process.

    Args:
        act: does what is looked at.
        what: it is, for messages.
        instead: what to do.
    """
    with fixed_seed(_SEEDS[0]):
        before = _random_states()
        act()
        for library, state in _random_states().items():
            unchanged = state == before[library]
            require(unchanged, f"{what} draws from the global state of {library}{instead}")


def _random_states() -> dict[str, object]:
    state = np.random.get_state(legacy=False)["state"]  # noqa: NPY002  components may use it
    return {
        "torch": torch.default_generator.get_state().numpy().tobytes(),
        "numpy": (state["key"].tobytes(), state["pos"]),
        "random": random.getstate(),
    }


def _settings() -> dict[str, object]:
    return {
        "torch's default dtype": torch.get_default_dtype(),
        "whether torch records gradients": torch.is_grad_enabled(),
    }


@contextmanager
def _usual_settings() -> Iterator[None]:
    """Begin with the settings of a new process: an earlier call may have changed them."""
    dtype, gradients = torch.get_default_dtype(), torch.is_grad_enabled()
    torch.set_default_dtype(torch.float32)
    torch.set_grad_enabled(True)
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_grad_enabled(gradients)
