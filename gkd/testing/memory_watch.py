"""A watch for the largest tensor that an operation makes: memory, counted and not measured."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class MemoryWatch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the largest tensor made inside, in forward and backward passes alike.

    Attributes:
        elements: how many numbers it holds; a view counts as what it is a view of.
        description: which operation made it, and its shape.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.elements = 0
        self.description = ""

    def __torch_dispatch__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if not isinstance(leaf, Tensor):
                continue
            if leaf.layout is torch.strided:
                size = leaf.untyped_storage().nbytes() // leaf.element_size()
            else:  # sparse rows have no storage of their own: the entries are what counts
                size = leaf._nnz()
            if size > self.elements:
                self.elements = size
                self.description = f"{getattr(func, '__name__', func)} makes {list(leaf.shape)}"
        return result
