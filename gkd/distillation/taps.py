"""Taps: outputs of sub-modules, captured by path while a network runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial

import torch
from torch import Tensor, nn

from gkd.distillation.batch_attributes import inputs_of
from gkd.distillation.tap import Tap, item_of, items_in
from gkd.errors import TapError
from gkd.graph import Graph


class Complete(BaseException):
    """Ends a forward pass of which nothing more is needed; no error, so that none is caught."""


class Captured:
    """What the taps of one network saw in one forward pass; made by :func:`capturing`."""

    def __init__(
        self,
        name: str,
        taps: Iterable[Tap],
        enough: int | None = None,
        terms: Mapping[Tap, Sequence[str]] | None = None,
    ) -> None:
        self._name = name
        self._terms = terms or {}
        self._enough = enough
        self._calls: dict[Tap, int] = dict.fromkeys(taps, 0)
        self._values: dict[Tap, object] = {}
        self._versions: dict[Tap, int | None] = {}

    def record(self, tap: Tap, module: nn.Module, arguments: object, output: object) -> None:
        """Keep the tapped item of ``output`` if this is the call that ``tap`` asks for."""
        call = self._calls[tap]
        self._calls[tap] = call + 1
        if call == (tap.call or 0):
            value = item_of(output, tap.items, self.place(tap))
            self._values[tap] = value
            self._versions[tap] = _version(value)
        if self.num_calls == self._enough:
            raise Complete

    @property
    def num_calls(self) -> int:
        """How often taps have fired."""
        return sum(self._calls.values())

    def place(self, tap: Tap) -> str:
        """Return what messages call ``tap``: the terms that ask for it, the network, its path."""
        terms = self._terms.get(tap, ())
        names = ", ".join(map(repr, terms))
        blamed = f"term{'s' if len(terms) > 1 else ''} {names}: " if terms else ""
        return f"{blamed}{self._name}: tap {str(tap)!r}"

    def value(self, tap: Tap) -> object:
        """Return what ``tap`` saw.

        Raises:
            TapError: it saw nothing, or several calls of which it does not name one, or a tensor
                that the network has changed in place since.
        """
        calls, place = self._calls[tap], self.place(tap)
        if calls == 0:
            raise TapError(
                f"{place} never fired: the forward pass did not call this sub-module (it may be "
                "unused, compiled, or run through .forward() or another method); "
                "gkd.distillation.taps.taps lists what can be tapped"
            )
        if calls <= (tap.call or 0) or (calls > 1 and tap.call is None):
            choices = ", ".join(str(Tap(tap.path, i, tap.items)) for i in range(calls))
            times = "once" if calls == 1 else f"{calls} times"
            raise TapError(f"{place} fired {times} in one forward pass; choose one of: {choices}")
        value = self._values[tap]
        if _version(value) != self._versions[tap]:
            raise TapError(
                f"{place}: its output was changed in place afterwards (by an in-place activation "
                "or +=), so its values are gone; tap the sub-module that makes the change, or "
                "make the change out of place"
            )
        return value


@contextmanager
def capturing(
    network: nn.Module,
    taps: Iterable[Tap],
    name: str,
    enough: int | None = None,
    terms: Mapping[Tap, Sequence[str]] | None = None,
) -> Iterator[Captured]:
    """Context in which a forward pass of ``network`` is captured; its hooks are gone afterwards.

    Args:
        network: runs inside the context.
        taps: what to capture.
        name: what messages call the network.
        enough: how often taps fire before the pass ends; None for the whole pass.
        terms: names of those that ask for each tap, for messages.

    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> with capturing(network, [Tap("0")], "student") as captured:
    ...     _ = network(torch.zeros(4, 2))
    >>> captured.value(Tap("0")).shape
    torch.Size([4, 3])
    """
    captured = Captured(name, taps, enough, terms)
    handles = []
    try:
        for tap in captured._calls:
            module = network.get_submodule(tap.path)
            handles.append(module.register_forward_hook(partial(captured.record, tap)))
        with suppress(Complete):
            yield captured
    finally:
        for handle in handles:
            handle.remove()


def require_tap(network: nn.Module, tap: Tap, name: str) -> None:
    """Check that ``network`` has the tapped sub-module.

    Raises:
        TapError: it has not; the message names the nearest paths.
    """
    paths = [path for path, _ in network.named_modules(remove_duplicate=False)]
    if tap.path in paths:
        return
    paths.remove("")
    if not paths:
        raise TapError(f"{name}: no sub-module {tap.path!r}; the network has no sub-modules")
    nearest = get_close_matches(tap.path, paths, n=5, cutoff=0.0)
    raise TapError(
        f"{name}: no sub-module {tap.path!r}; did you mean {nearest[0]!r}? Nearest of "
        f"{len(paths)}: {', '.join(nearest)}"
    )


def _version(value: object) -> int | None:
    # Tensors made under inference_mode count no versions.
    return value._version if isinstance(value, Tensor) and not value.is_inference() else None


@dataclass(frozen=True, slots=True)
class TapInfo:
    """One value of a network that a term can name as its tap.

    Attributes:
        path: the tap, as a term writes it.
        type: class of the sub-module.
        shape: of the value; of the edge index for a graph.
        parameters: number of values in the sub-module's parameters.
    """

    path: str
    type: str
    shape: tuple[int, ...]
    parameters: int


def taps(
    network: nn.Module, batch: object, inputs: Sequence[str] = ("x", "edge_index")
) -> list[TapInfo]:
    """Everything that can be tapped in ``network``, found by running it once on ``batch``.

    The network runs in evaluation mode and without gradients, and is left as it was.

    Args:
        network: any module.
        batch: any object with the attributes in ``inputs``.
        inputs: attributes of the batch that the network is called with.

    >>> from types import SimpleNamespace
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> for info in taps(network, SimpleNamespace(x=torch.zeros(4, 2)), inputs=["x"]):
    ...     print(info.path, info.type, info.shape, info.parameters)
    0 Linear (4, 3) 9
    1 ReLU (4, 3) 0
    """
    calls: dict[str, list[dict[str, tuple[int, ...]]]] = {}

    def record(path: str, module: nn.Module, arguments: object, output: object) -> None:
        calls.setdefault(path, []).append(dict(_shapes(output)))

    modules = [(p, m) for p, m in network.named_modules(remove_duplicate=False) if p]
    with ExitStack() as stack, evaluating(network), torch.no_grad():
        for path, module in modules:
            stack.callback(module.register_forward_hook(partial(record, path)).remove)
        network(*inputs_of(batch, inputs).values())
    return [
        TapInfo(
            path=f"{path}{f'#{call}' if len(calls[path]) > 1 else ''}{items}",
            type=type(module).__name__,
            shape=shape,
            parameters=sum(parameter.numel() for parameter in module.parameters()),
        )
        for path, module in modules
        for call, shapes in enumerate(calls.get(path, []))
        for items, shape in shapes.items()
    ]


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Context in which ``network`` is in evaluation mode; each module's mode returns afterwards."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def _shapes(output: object, items: str = "") -> Iterator[tuple[str, tuple[int, ...]]]:
    if isinstance(output, Tensor):
        yield items, tuple(output.shape)
    elif isinstance(output, Graph):
        yield items, tuple(output.edge_index.shape)
    for item, value in items_in(output).items():
        yield from _shapes(value, f"{items}[{item}]")
