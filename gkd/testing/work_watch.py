"""A watch for how much operations compute: work, counted and not timed."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

_PRODUCTS = {"mm", "bmm", "addmm", "baddbmm", "mv", "addmv", "dot"}


class WorkWatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Adds up what operations inside compute.

    An operation counts the numbers that it makes, a product of matrices its multiplications. What
    is no operation of PyTorch, such as a search in compiled code, is not seen.

    Attributes:
        work: the sum.
        largest: which operation counted most, and the shape of what it makes.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.work = 0
        self.largest = ""
        self._most = -1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if getattr(func, "is_view", False):
            return result
        made = [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]
        name = str(getattr(func, "overloadpacket", func)).rpartition(".")[2]
        work = sum(map(_numbers, made)) * (_terms(args) if name in _PRODUCTS else 1)
        self.work += work
        if work > self._most:
            self._most = work
            self.largest = f"{name} makes {[list(leaf.shape) for leaf in made]}"
        return result


def _numbers(tensor: Tensor) -> int:
    return tensor.numel() if tensor.layout is torch.strided else tensor._nnz()


def _terms(args: Any) -> int:
    """Return how many products each number of a product of matrices is the sum of."""
    left = [arg for arg in args if isinstance(arg, Tensor)][-2]
    if left.layout is torch.strided:
        return left.shape[-1]
    return max(1, _numbers(left) // max(1, left.shape[0]))
