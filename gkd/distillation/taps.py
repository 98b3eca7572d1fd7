"""Taps: values of sub-modules, named by path and captured while a network runs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass, replace
from difflib import get_close_matches
from functools import partial

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from gkd.data.batch_attributes import attribute_names
from gkd.distillation.in_place import version
from gkd.distillation.inputs import IN_ORDER, Inputs, NetworkInputs, forward_parameters
from gkd.distillation.modes import evaluation_mode
from gkd.errors import TapError
from gkd.graph import Graph

_TAP = re.compile(
    r"(?P<path>[^#\[\]]*?)(#(?P<call>\d+))?(?P<input>:input)?(?P<items>(\[[^\[\]]+\])*)"
)


@dataclass(frozen=True, slots=True)
class Tap:
    """A place in a network: a sub-module, one of its calls, an item of its output or its input.

    Args:
        path: name of the sub-module as in ``named_modules()``; empty for the network itself.
        call: which of several calls in one forward pass, from 0; None where there is one.
        items: positions, keys or fields that lead to the value inside an output; of an input, first
            the position or the name of an argument.
        input: whether what the sub-module is called with is meant: the first argument by position,
            or the only one by name, where no item says which.

    >>> Tap.parse("encoder.layers.1")
    Tap(path='encoder.layers.1', call=None, items=(), input=False)
    >>> Tap.parse("cell#2:input[hidden][0]")
    Tap(path='cell', call=2, items=('hidden', '0'), input=True)
    """

    path: str
    call: int | None = None
    items: tuple[str, ...] = ()
    input: bool = False

    @classmethod
    def parse(cls, text: str) -> Tap:
        """Read ``path#call:input[item][item]``, of which all after the path may be missing.

        Raises:
            TapError: any other form.
        """
        match = _TAP.fullmatch(text)
        if match is None:
            raise TapError(
                f"{text!r} is not a tap: expected the path of a sub-module, then #0 for the first "
                "of several calls, then :input for what it is called with, then [0] or [key] for "
                "an item"
            )
        call = None if match["call"] is None else int(match["call"])
        items = tuple(re.findall(r"\[([^\]]+)\]", match["items"]))
        return cls(match["path"], call, items, match["input"] is not None)

    def __str__(self) -> str:
        call = "" if self.call is None else f"#{self.call}"
        side = ":input" if self.input else ""
        return f"{self.path}{call}{side}{''.join(f'[{item}]' for item in self.items)}"


def item_of(output: object, items: tuple[str, ...], place: str) -> object:
    """Return the item of a module's output that ``items`` lead to.

    Args:
        output: of the module.
        items: positions, keys, or names of fields or attributes, one after the other.
        place: what messages call it.

    Raises:
        TapError: there is no such item; the message starts with ``place``.
    """
    for item in items:
        choices = items_in(output)
        if item not in choices:
            choices |= _also_called(output, item)
        if item not in choices:
            holds = f"items {', '.join(choices)}" if choices else "no items"
            raise TapError(f"{place}: no item [{item}]; {describe(output)} has {holds}")
        output = choices[item]
    return output


def arguments_of(
    module: nn.Module, positional: Sequence[object], named: Mapping[str, object]
) -> dict[str, object]:
    """Return what a module is called with, by name and by position, as taps call it."""
    names = [p.name for p in forward_parameters(module) if p.kind in IN_ORDER]
    by_position = {str(position): value for position, value in enumerate(positional)}
    return dict(zip(names, positional, strict=False)) | dict(named) | by_position


def features_of(value: object, place: str) -> Tensor:
    """Return ``value`` if it is a floating point tensor of two to four axes.

    Raises:
        TapError: it is not; the message starts with ``place``.
    """
    if not isinstance(value, Tensor):
        choices = ", ".join(f"[{item}]" for item in items_in(value))
        hint = f"; append one of: {choices}" if choices else ""
        raise TapError(f"{place} yields {describe(value)}, not a tensor{hint}")
    if value.ndim not in (2, 3, 4) or not value.is_floating_point():
        raise TapError(
            f"{place} yields {describe(value)}; expected floating point features of shape "
            "[N, F], or of three or four axes with a layout"
        )
    return value


def graph_of(value: object, place: str) -> Graph | Tensor:
    """Return ``value`` if it is a graph or an edge index, or the first item if it begins with one.

    Raises:
        TapError: it is not; the message starts with ``place``.
    """
    if isinstance(value, tuple | list) and value:
        value = value[0]
    if isinstance(value, Graph | Tensor):
        return value
    raise TapError(f"{place} yields {describe(value)}, not a graph or an edge index [2, E]")


def describe(value: object) -> str:
    """Short description of a module's output, for messages."""
    if isinstance(value, Tensor):
        return f"a {str(value.dtype).removeprefix('torch.')} tensor of shape {list(value.shape)}"
    if isinstance(value, tuple | list | Mapping):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def items_in(output: object) -> dict[str, object]:
    """Items of a module's output by what a tap calls them.

    Keys of a mapping, fields of a named tuple or data class, positions in any other tuple or list,
    attributes of any other object; of tensors, graphs, numbers and texts there are none.
    """
    if isinstance(output, Mapping):
        return {str(key): value for key, value in output.items()}
    if isinstance(output, tuple | list):
        names = getattr(output, "_fields", None) or map(str, range(len(output)))
        return dict(zip(names, output, strict=True))
    if not _is_record(output):
        return {}
    names = [f.name for f in fields(output)] if is_dataclass(output) else attribute_names(output)
    return {name: getattr(output, name, None) for name in names}


def _also_called(output: object, item: str) -> dict[str, object]:
    """Return the item of another name: a position in a named tuple, a property of an object."""
    if isinstance(output, tuple) and item.isdigit() and int(item) < len(output):
        return {item: output[int(item)]}
    if _is_record(output) and hasattr(output, item):
        return {item: getattr(output, item)}
    return {}


def _is_record(output: object) -> bool:
    """Whether what a module returns is an object of attributes."""
    values = Tensor | Graph | nn.Module | str | bytes | int | float | complex | type | None
    return not isinstance(output, values | tuple | list | Mapping)


class Complete(BaseException):
    """Ends a forward pass of which nothing more is needed; no error, so that none is caught."""


class Captured:
    """What the taps of one network saw in one forward pass; made by :func:`capture`."""

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
        self._aside = False

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Context for calls of sub-modules that are no part of the pass."""
        before, self._aside = self._aside, True
        try:
            yield
        finally:
            self._aside = before

    def record_output(self, tap: Tap, module: nn.Module, inputs: object, output: object) -> None:
        """Keep the tapped item of ``output`` if this is the call that ``tap`` asks for."""
        self._record(tap, output, tap.items)

    def record_input(
        self, tap: Tap, module: nn.Module, positional: tuple[object, ...], named: dict[str, object]
    ) -> None:
        """Keep the tapped one of the arguments if this is the call that ``tap`` asks for."""
        arguments = arguments_of(module, positional, named)
        if not tap.items and not positional and len(named) != 1:
            choices = ", ".join(f"[{name}]" for name in arguments) or "nothing"
            raise TapError(f"{self.place(tap)}: which input? It is called with {choices}")
        only = "0" if positional else "".join(named)
        self._record(tap, arguments, tap.items or (only,))

    def _record(self, tap: Tap, values: object, items: tuple[str, ...]) -> None:
        if self._aside:
            return
        call = self._calls[tap]
        self._calls[tap] = call + 1
        if call == (tap.call or 0):
            value = item_of(values, items, self.place(tap))
            self._values[tap] = value
            self._versions[tap] = version(value)
        if self.num_calls == self._enough:
            raise Complete  # the one way out of somebody else's forward

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
                "unused, compiled, run through .forward() or another method, or part of a layer "
                "that works on some nodes after the others); gkd.taps.taps lists what can be tapped"
            )
        if calls <= (tap.call or 0) or (calls > 1 and tap.call is None):
            choices = ", ".join(str(replace(tap, call=i)) for i in range(calls))
            times = "once" if calls == 1 else f"{calls} times"
            raise TapError(f"{place} fired {times} in one forward pass; choose one of: {choices}")
        value = self._values[tap]
        if version(value) != self._versions[tap]:
            raise TapError(
                f"{place}: its {'input' if tap.input else 'output'} was changed in place "
                "afterwards (by an in-place activation or +=), so its values are gone; tap the "
                "sub-module that makes the change, or make the change out of place"
            )
        return value


@contextmanager
def capture(
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
    >>> with capture(network, [Tap("0")], "student") as captured:
    ...     _ = network(torch.zeros(4, 2))
    >>> captured.value(Tap("0")).shape
    torch.Size([4, 3])
    """
    captured = Captured(name, taps, enough, terms)
    handles = []
    try:
        # Hooks live for this one pass: they would be copied, pickled and compiled with the network.
        for tap in captured._calls:
            module = network.get_submodule(tap.path)
            if tap.input:
                record = partial(captured.record_input, tap)
                handles.append(module.register_forward_pre_hook(record, with_kwargs=True))
            else:
                record = partial(captured.record_output, tap)
                handles.append(module.register_forward_hook(record))
        with suppress(Complete):
            yield captured
    finally:
        for handle in handles:
            handle.remove()


def require_tap(network: nn.Module, tap: Tap, name: str) -> None:
    """Check that ``network`` has the tapped sub-module, and that it can be called.

    Raises:
        TapError: it has not, and the message names the nearest paths; or it is TorchScript, or
            only holds others, as a ``ModuleList`` does.
    """
    modules = dict(network.named_modules(remove_duplicate=False))
    if isinstance(modules.get(tap.path), torch.jit.ScriptModule):
        raise TapError(
            f"{name}: tap {str(tap)!r} is in TorchScript, which runs outside of Python and cannot "
            "be looked into; give the module that it was made of, or compare logits alone"
        )
    if tap.path in modules:
        _require_called(modules, tap, name)
        return
    paths = [path for path in modules if path]
    if not paths:
        raise TapError(f"{name}: no sub-module {tap.path!r}; the network has no sub-modules")
    nearest = get_close_matches(tap.path, paths, n=5, cutoff=0.0)
    raise TapError(
        f"{name}: no sub-module {tap.path!r}; did you mean {nearest[0]!r}? Nearest of "
        f"{len(paths)}: {', '.join(nearest)}"
    )


def _require_called(modules: Mapping[str, nn.Module], tap: Tap, name: str) -> None:
    module = modules[tap.path]
    if type(module) not in (nn.ModuleList, nn.ModuleDict):
        return
    # A list of modules is indexed in Python, so `convs[1]` is likely to mean `convs.1`.
    meant = ".".join((tap.path, *tap.items))
    held = [f"{tap.path}.{child}" for child, _ in module.named_children()]
    choices = [meant] if tap.items and meant in modules else held
    raise TapError(
        f"{name}: tap {str(tap)!r}: a {type(module).__name__} is never called, what it holds is; "
        f"expected {' or '.join(map(repr, choices)) or 'another sub-module'}"
    )


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


def taps(network: nn.Module, batch: object, inputs: Inputs = ("x", "edge_index")) -> list[TapInfo]:
    """Everything that can be tapped in ``network``, found by running it once on ``batch``.

    The network runs in evaluation mode and without gradients, and is left as it was.

    Args:
        network: any module.
        batch: any object with the attributes in ``inputs``.
        inputs: what the network is called with, as :class:`gkd.Distiller` takes it.

    >>> from types import SimpleNamespace
    >>> network = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> for info in taps(network, SimpleNamespace(x=torch.zeros(4, 2)), inputs=["x"]):
    ...     print(info.path, info.type, info.shape, info.parameters)
    0 Linear (4, 3) 9
    1 ReLU (4, 3) 0
    """
    modules = [
        (path, module)
        for path, module in network.named_modules(remove_duplicate=False)
        if path and not isinstance(module, torch.jit.ScriptModule)  # which takes no hooks
    ]
    called = NetworkInputs(inputs, network, "network").arguments(batch)
    seen = _Seen()
    seen.note([*called.positional, *called.named.values()])
    with ExitStack() as stack, evaluation_mode(network), torch.no_grad():
        for path, module in modules:
            pre = module.register_forward_pre_hook(partial(seen.enter, path), with_kwargs=True)
            stack.callback(pre.remove)
            # Always called: also where the sub-module raises, and its caller goes on.
            post = module.register_forward_hook(seen.leave, always_call=True)
            stack.callback(post.remove)
        network(*called.positional, **called.named)
    return [
        TapInfo(
            path=f"{path}{call}{items}",
            type=type(module).__name__,
            shape=shape,
            parameters=sum(parameter.numel() for parameter in module.parameters()),
        )
        for path, module in modules
        for call, shapes in seen.calls(path)
        for items, shape in shapes.items()
    ]


class _Seen:
    """Shapes of what sub-modules are called with and return, in one forward pass."""

    def __init__(self) -> None:
        self._calls: dict[str, list[dict[str, tuple[int, ...]]]] = {}
        self._running: list[dict[str, tuple[int, ...]]] = []
        self._known: MutableMapping[Tensor, bool] = WeakIdKeyDictionary()

    def note(self, value: object, place: str = "") -> dict[str, tuple[int, ...]]:
        """Return the shapes of the tensors in ``value``, which are known from now on."""
        found = {}
        for items, tensor in _tensors(value, place):
            found[items], self._known[tensor] = tuple(tensor.shape), True
        return found

    def enter(
        self,
        path: str,
        module: nn.Module,
        positional: tuple[object, ...],
        named: dict[str, object],
    ) -> None:
        """Begin a call of a sub-module, a hook before its forward."""
        self._running.append({})
        self._calls.setdefault(path, []).append(self._running[-1])
        for number, (name, value) in enumerate(arguments_of(module, positional, named).items()):
            plain = number == 0 and (positional or len(named) == 1)
            # What is another module's output, or the network's own input, is no news.
            if isinstance(value, Tensor) and value not in self._known:
                place = ":input" if plain else f":input[{name}]"
                self._running[-1].update(self.note(value, place))

    def leave(self, module: nn.Module, arguments: object, output: object) -> None:
        """End the latest call, a hook after its forward."""
        self._running.pop().update(self.note(output))

    def calls(self, path: str) -> Iterator[tuple[str, dict[str, tuple[int, ...]]]]:
        """Yield how a tap names each call of a sub-module, and the shapes by item."""
        calls = self._calls.get(path, [])
        for number, shapes in enumerate(calls):
            yield f"#{number}" if len(calls) > 1 else "", shapes


def _tensors(
    output: object, items: str = "", inside: tuple[object, ...] = ()
) -> Iterator[tuple[str, Tensor]]:
    if isinstance(output, Tensor):
        yield items, output
    elif isinstance(output, Graph):
        yield items, output.edge_index
    if any(output is outer for outer in inside):  # objects may hold themselves
        return
    for item, value in items_in(output).items():
        yield from _tensors(value, f"{items}[{item}]", (*inside, output))
