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
        mixed = len(strays) < len(given) and any(tensor.ndim for tensor in strays)
        if mixed and name not in _CROSSINGS:
            raise AssertionError(
                f"torch.{name} mixes a tensor of the inputs' device with one on the CPU: made "
                "without device=, or left there"
            )
        result = func(*args, **kwargs)
        if _fetches(name, args, kwargs):
            # On the CPU it is the very tensor, which is no stray itself.
            result = torch.ops.aten.alias(result)
            self._strays[result] = True
            return result
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        if _moves(name, args, kwargs):
            self.settle(made)
        elif len(strays) == len(given) and (strays or _is_placeless(func, kwargs)):
            for tensor in made:
                self._strays[tensor] = True
        return result


def _is_placeless(func: Callable[..., Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call makes a tensor on the CPU whatever the inputs' device."""
    device = kwargs.get("device")
    return func in _FACTORIES and (device is None or _is_cpu(device))


def _fetches(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call brings a tensor to the CPU."""
    return name == "cpu" or (name == "to" and any(map(_is_cpu, (*args[1:], *kwargs.values()))))


def _moves(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Whether a call brings a tensor to a device that it names, or to that of another tensor."""
    named = (*args[1:], *kwargs.values()) if name == "to" else ()
    return name == "type_as" or any(isinstance(to, torch.device | str | Tensor) for to in named)


def _is_cpu(device: Any) -> bool:
    """Whether a device is spelt out; that of an input is an object."""
    return isinstance(device, str) and device == "cpu"


def accelerator() -> torch.device | None:
    """Return the accelerator that this machine has, None if it has none."""
    return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
