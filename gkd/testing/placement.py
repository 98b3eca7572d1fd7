"""A watch for tensors that stay on the CPU while everything else is on an accelerator."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.weak import WeakIdKeyDictionary

# What makes a tensor on the default device unless it is told another.
_FACTORIES = frozenset(
    getattr(torch, name)
    for name in (
        "arange",
        "as_tensor",
        "empty",
        "eye",
        "from_numpy",
        "full",
        "linspace",
        "logspace",
        "ones",
        "rand",
        "randint",
        "randn",
        "randperm",
        "tensor",
        "tril_indices",
        "triu_indices",
        "zeros",
    )
)
# What takes tensors of two devices: moves, copies, and a CPU index into an accelerator's tensor.
_CROSSINGS = frozenset({"to", "type_as", "copy_", "__getitem__", "__setitem__"})


class PlacementWatch(TorchFunctionMode):
    """Tells, on the CPU alone, where code would fail on an accelerator.

    A tensor made without ``device=`` is a stray: it would lie on the CPU whatever the inputs. An
    operation on a stray and on something of the inputs' device raises, as it would there; numbers
    without dimensions are let through, as they are there.

    Raises:
        AssertionError: from the operation that mixes both.
    """

    def __init__(self) -> None:
        super().__init__()
        self._strays: Any = WeakIdKeyDictionary()

    def is_stray(self, tensor: Tensor) -> bool:
        """Whether ``tensor`` would lie on the CPU whatever the inputs' device."""
        return tensor in self._strays

    def settle(self, tensors: Iterable[Tensor]) -> None:
        """Take ``tensors`` for moved to the inputs' device, as ``module.to(device)`` does."""
        for tensor in tensors:
            self._strays.pop(tensor, None)

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        strays = [tensor for tensor in given if self.is_stray(tensor)]
        name = getattr(func, "__name__", "")
        if len(strays) < len(given) and any(t.ndim for t in strays) and name not in _CROSSINGS:
            raise AssertionError(
                f"torch.{name} mixes a tensor of the inputs' device with one made without "
                "device=, which stays on the CPU"
            )
        result = func(*args, **kwargs)
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if _moves(name, args, kwargs):
            self.settle(made)  # a move to where it is returns the very tensor
        elif len(strays) == len(given) and (strays or _is_placeless(func, kwargs)):
            self._strays.update(dict.fromkeys(made, True))
        return result


def _is_placeless(func: Callable[..., Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call makes a tensor without being told where."""
    return func in _FACTORIES and kwargs.get("device") is None


def _moves(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call moves a tensor to a device that it names, or to that of another tensor."""
    if name == "to":
        return any(
            isinstance(to, torch.device | str | Tensor) for to in (*args[1:], *kwargs.values())
        )
    return name == "type_as"


def accelerator() -> torch.device | None:
    """Return the accelerator that this machine has, None if it has none."""
    return torch.accelerator.current_accelerator(check_available=True)
