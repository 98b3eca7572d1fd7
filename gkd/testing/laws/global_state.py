"""What belongs to the whole process: a component that changes it changes everything else."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

import numpy as np
import torch

from gkd.testing.laws.requirements import require
from gkd.testing.subject import fixed_seed

_States: TypeAlias = dict[str, object]
_SEEDS = (7_919, 104_729)  # that nobody takes


def require_left_alone(act: Callable[[], object], what: str) -> None:
    """Require that ``act`` seeds nothing anew and leaves the settings of torch; it may draw.

    Args:
        act: does what is looked at.
        what: it is, for messages.
    """
    _left_alone(act, what)


def require_nothing_drawn(act: Callable[[], object], what: str) -> None:
    """Require of ``act`` what :func:`require_left_alone` does, and that it draws nothing."""
    before, after = _left_alone(act, what)
    _require_same(before, after, what)


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
        _require_same(before, _random_states(), what, instead)


def _left_alone(act: Callable[[], object], what: str) -> tuple[_States, _States]:
    """Require what :func:`require_left_alone` does; return the random states before and after."""
    before, after = _act(act, what, _SEEDS[0])
    if after != before:  # else it has seeded nothing, and need not act again
        _, otherwise = _act(act, what, _SEEDS[1])
        for library, state in after.items():
            # Whatever it drew, two seeds lead to two states.
            require(
                state != otherwise[library],
                f"{what} seeds {library} anew, for all that draws from it later: draw from a "
                "generator of its own",
            )
    return before, after


def _act(act: Callable[[], object], what: str, seed: int) -> tuple[_States, _States]:
    """Act under a seed and require settings to be kept; return the random states around it."""
    with fixed_seed(seed), _usual_settings():
        settings, before = _settings(), _random_states()
        act()
        after = _random_states()
        for setting, value in _settings().items():
            kept = settings[setting]
            require(value == kept, f"{what} changes {setting} from {kept} to {value}")
    return before, after


def _require_same(before: _States, after: _States, what: str, instead: str = "") -> None:
    for library, state in after.items():
        unchanged = state == before[library]
        require(unchanged, f"{what} draws from the global state of {library}{instead}")


def _random_states() -> _States:
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
