"""Passes over a large graph whose layers work on a part of its edges at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial, update_wrapper
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_map, tree_unflatten

from gkd.data.sample import is_edge_index
from gkd.data.subgraphs import Subgraph, Subgraphs
from gkd.distillation.in_place import version
from gkd.distillation.inputs import Arguments, forward_parameters
from gkd.errors import ParameterError
from gkd.graph import Graph

_PROBES = (64, 8, 1)  # nodes
_HOPS_AT_MOST = 10
_NO_MEMORY = "can't allocate memory"  # what torch says on the CPU

Call = Callable[..., object]

EDGES_PER_PASS = "edges_per_pass"
"""Attribute of a network: how many edges its layers work on at a time."""


def declared_edges(network: nn.Module) -> int | None:
    """Return how many edges a network's layers work on at a time, None for all.

    Raises:
        ParameterError: its attribute ``edges_per_pass`` is no whole number from 1 on.
    """
    said: object = getattr(network, EDGES_PER_PASS, None)
    if said is None or (isinstance(said, int) and not isinstance(said, bool) and said > 0):
        return said
    raise ParameterError(f"{EDGES_PER_PASS}: expected a whole number from 1 on, got {said!r}")


@contextmanager
def layer_by_layer(
    network: nn.Module,
    arguments: Arguments,
    aside: Callable[[], AbstractContextManager[object]] = nullcontext,
) -> Iterator[None]:
    """Context in which layers of a network work on a part of a large graph's edges at a time.

    A layer that makes a message for every edge, ``[E, F]``, needs memory for all of them at once.
    Where a network has an attribute ``edges_per_pass`` and runs without gradients on a graph of
    more edges, every layer that is called with these computes some nodes after the others, each
    part with all in-edges of its nodes, and puts their rows together: a layer's memory is that of a
    part, what it returns is the same within rounding, and all between the layers sees the whole
    graph. How many hops a layer looks is found out on a few nodes, whose rows do not change with
    another hop. A layer that looks several hops, or counts the neighbours of its sources (GCN),
    computes the nodes of the hops between several times.

    A layer is a sub-module, or the network itself, that is called with ``edge_index`` (int64
    ``[2, E]``) and tensors with a row per node, holds no other such module, and returns a row per
    node. A layer that returns something else, or mixes all nodes, works on the whole graph.

    Args:
        network: in evaluation mode, runs inside the context.
        arguments: what it is called with there.
        aside: context for calls of layers with parts of the graph, which are not the network's own.

    Raises:
        ParameterError: ``edges_per_pass`` is no whole number from 1 on, no layer could work on a
            part of the edges, or there is no memory for the pass.

    Example:
        >>> class Sums(nn.Module):
        ...     edges_per_pass = 50
        ...     def forward(self, x, edge_index):
        ...         return torch.zeros_like(x).index_add(0, edge_index[1], x[edge_index[0]])
        >>> named = {"x": torch.rand(100, 1), "edge_index": torch.randint(100, (2, 500))}
        >>> network = Sums()
        >>> with torch.no_grad(), layer_by_layer(network, Arguments((), named, named)):
        ...     found = network(**named)
        >>> torch.allclose(found, network(**named))
        True
    """
    limit = declared_edges(network)
    if torch.is_grad_enabled():
        yield
        return
    content = arguments.content
    largest = max((_num_edges(content[name]) for name in content if is_edge_index(name)), default=0)
    with ExitStack() as stack:
        if largest:
            stack.enter_context(_memory_for(largest, limit))
        if limit is None or largest <= limit:
            yield
            return
        division = _Division(limit, aside)
        for module in network.modules():
            if not isinstance(module, torch.jit.ScriptModule):  # which runs outside of Python
                stack.callback(_restore, module, vars(module).get("forward"))
                call = partial(division.call, module, module.forward)
                vars(module)["forward"] = update_wrapper(call, module.forward)  # for its parameters
        yield
    if not division.divided:
        raise ParameterError(
            f"{EDGES_PER_PASS}: none of the network's layers could work on a part of the {largest} "
            "edges: expected sub-modules that are called with edge_index (int64 [2, E]) and rows "
            f"of nodes, and return a row per node that follows from {_HOPS_AT_MOST} hops around it "
            "at most, within which lies less than half of the graph; leave "
            f"{EDGES_PER_PASS} out, and the network runs on the whole graph"
        )


@contextmanager
def _memory_for(num_edges: int, limit: int | None) -> Iterator[None]:
    """Context in which memory that runs out is an error that says what takes less.

    Raises:
        ParameterError: there was not enough.
    """
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and _NO_MEMORY not in str(error):
            raise
        advice = (
            f"{EDGES_PER_PASS} of a network (in a recipe of [teacher] or [student]) has its layers "
            "work on so many edges at a time"
            if limit is None
            else f"a smaller {EDGES_PER_PASS} than {limit} may help"
        )
        raise ParameterError(
            f"there is no memory for a pass over {num_edges} edges; {advice}"
        ) from error


def call_by_layers(network: nn.Module, arguments: Arguments) -> object:
    """Call a network, layer by layer where it says so; see :func:`layer_by_layer`."""
    with layer_by_layer(network, arguments):
        return network(*arguments.positional, **arguments.named)


def _num_edges(value: object) -> int:
    return value.shape[-1] if isinstance(value, Tensor) else 0


def _restore(module: nn.Module, forward: Call | None) -> None:
    del vars(module)["forward"]
    if forward is not None:
        vars(module)["forward"] = forward


@dataclass(frozen=True)
class _GraphCall:
    """A call of a module with the edges of one graph.

    Args:
        leaves: all values that it is called with.
        structure: of these.
        rows_of: what each leaf has a row for: ``"node"`` or ``"edge"``; ``"graph"`` of the graph
            itself; None of anything else.
        edge_index: int64 ``[2, E]``.
        num_nodes: of the graph.
    """

    leaves: list[object]
    structure: TreeSpec
    rows_of: list[str | None]
    edge_index: Tensor
    num_nodes: int

    @classmethod
    def of(
        cls, module: nn.Module, positional: tuple[object, ...], named: Mapping[str, object]
    ) -> _GraphCall | None:
        """Return the call; None where it has no graph, several, or no rows of its nodes."""
        leaves, structure = tree_flatten((positional, dict(named)))
        graphs = {id(leaf): leaf for leaf in leaves if _is_graph(leaf)}
        if len(graphs) != 1:
            return None
        ((key, graph),) = graphs.items()
        rows = {id(z): len(z) for z in leaves if isinstance(z, Tensor) and z.ndim and id(z) != key}
        if isinstance(graph, Graph):
            edge_index, num_nodes = graph.edge_index, graph.num_nodes
        else:
            edge_index = graph
            low, high = torch.stack(torch.aminmax(graph)).tolist() if graph.numel() else (0, -1)
            # Edges may have values, too, and what is said of the whole graph has fewer rows.
            others = (count for count in rows.values() if graph.shape[1] != count > high)
            num_nodes = next(others, graph.shape[1])
            if not 0 <= low <= high < num_nodes:
                return None
        num_edges = edge_index.shape[1]
        about_edges = _named_for_edges(module, positional, named)
        kinds: dict[int, str] = {key: "graph"}
        for leaf, count in rows.items():
            if count == num_edges and (num_edges != num_nodes or leaf in about_edges):
                kinds[leaf] = "edge"
            elif count == num_nodes:
                kinds[leaf] = "node"
        if "node" not in kinds.values():
            return None
        rows_of = [kinds.get(id(leaf)) for leaf in leaves]
        return cls(leaves, structure, rows_of, edge_index, num_nodes)

    def part(self, around: Subgraph) -> tuple[tuple[object, ...], dict[str, object]]:
        """Return positional and named arguments for a part of the graph."""
        nodes, edge_index, edges = around
        if any(isinstance(leaf, Graph) for leaf in self.leaves):
            # Its edges are sorted, and what they have lies in their order.
            order = (edge_index[1] * len(nodes) + edge_index[0]).argsort()
            edge_index, edges = edge_index[:, order], edges[order]
        values: list[Any] = list(self.leaves)
        for place, kind in enumerate(self.rows_of):
            if kind == "graph":
                whole = isinstance(values[place], Graph)
                values[place] = Graph(edge_index, len(nodes)) if whole else edge_index
            elif kind is not None:
                values[place] = values[place].index_select(0, nodes if kind == "node" else edges)
        positional, named = tree_unflatten(values, self.structure)
        return positional, named


def _is_graph(leaf: object) -> bool:
    if not isinstance(leaf, Tensor):
        return isinstance(leaf, Graph)
    return leaf.dtype == torch.int64 and leaf.ndim == 2 and len(leaf) == 2


class _Division:
    """Calls modules with parts of a graph where that is large.

    Args:
        edges_per_pass: at most.
        aside: context for calls with parts.
    """

    def __init__(
        self, edges_per_pass: int, aside: Callable[[], AbstractContextManager[object]]
    ) -> None:
        self.divided = False
        self._limit = edges_per_pass
        self._aside = aside
        self._inside = False  # of a call with a part
        self._called: list[nn.Module] = []  # there, with the part
        self._known: list[tuple[Tensor, Subgraphs]] = []

    def call(
        self, module: nn.Module, forward: Call, *positional: object, **named: object
    ) -> object:
        """Call a module, which may be the layer that this is about."""
        call = _GraphCall.of(module, positional, named)
        if call is not None and self._inside:
            self._called.append(module)
        if call is None or self._inside or call.edge_index.shape[1] <= self._limit:
            return forward(*positional, **named)
        subgraphs = self._subgraphs(call)
        hops = self._hops(forward, call, subgraphs)
        if hops is None:
            return forward(*positional, **named)
        self.divided = True
        return self._in_parts(forward, call, subgraphs, hops)

    def _subgraphs(self, call: _GraphCall) -> Subgraphs:
        for edge_index, known in self._known:  # few: layers share a graph
            if edge_index is call.edge_index:
                return known
        self._known.append((call.edge_index, Subgraphs(call.edge_index, call.num_nodes)))
        return self._known[-1][1]

    def _part(
        self,
        forward: Call,
        call: _GraphCall,
        around: Subgraph,
        change: Callable[[object], object] = lambda value: value,
    ) -> Tensor | None:
        """Return what a layer says of the nodes of a part; None where that is something else."""
        positional, named = tree_map(change, call.part(around))
        values, _ = tree_flatten((positional, named))
        before = [version(value) for value in values]
        self._inside, self._called = True, []
        try:
            with self._aside():
                answer = forward(*positional, **named)
        finally:
            self._inside = False
        unchanged = [version(value) for value in values] == before
        if not isinstance(answer, Tensor) or answer.shape[:1] != around.nodes.shape:
            return None
        return answer if unchanged and not self._called else None

    def _hops(self, forward: Call, call: _GraphCall, found: Subgraphs) -> int | None:
        """Return how many hops a layer looks; None where it is no layer that can be divided."""
        generator = torch.Generator().manual_seed(0)
        shuffled = torch.randperm(call.num_nodes, generator=generator)[: max(_PROBES)]
        shuffled = shuffled.to(device := call.edge_index.device)
        autocast = torch.is_autocast_enabled(device.type)

        def widen(value: object) -> object:
            if not autocast or not isinstance(value, Tensor) or not value.is_floating_point():
                return value
            return value.to(torch.promote_types(value.dtype, torch.float32))

        for count in _PROBES:  # fewer, where so many see half of the graph too soon
            probes, before = shuffled[:count], None
            for hops in range(1, _HOPS_AT_MOST + 2):
                around = found.around(probes, ["all"] * hops)
                reached = len(around.nodes)
                # What is nearly the whole graph says nothing of a part, nor what is no larger.
                if 2 * reached > call.num_nodes or (before and reached == before[0]):
                    break
                try:
                    # Under autocast, what is two hops away would look like rounding.
                    with torch.autocast(device.type, enabled=False):
                        answer = self._part(forward, call, around, widen)
                except Exception:  # whatever it is, on the whole graph it may not happen
                    return None
                if answer is None:
                    return None
                answer = answer[: len(probes)]
                if before and _agree(answer, before[1]):
                    return hops - 1
                before = reached, answer
        return None

    def _in_parts(self, forward: Call, call: _GraphCall, subgraphs: Subgraphs, hops: int) -> Tensor:
        device, pointer = call.edge_index.device, subgraphs.pointer
        found: Tensor | None = None
        begin, budget = 0, self._limit
        while begin < call.num_nodes:
            # Of one hop, these are the edges of the part; of several, fewer than it takes.
            end = int(torch.searchsorted(pointer, pointer[begin] + budget, right=True)) - 1
            end = min(max(end, begin + 1), call.num_nodes)
            nodes = torch.arange(begin, end, device=device)
            around = subgraphs.around(nodes, ["all"] * hops)
            if len(around.edges) > self._limit and end > begin + 1:
                budget = max(1, min(budget * self._limit // len(around.edges), budget // 2))
                continue
            answer = self._part(forward, call, around)
            if answer is None:
                raise ParameterError(
                    f"{EDGES_PER_PASS}: a layer returns a row for each of some nodes, and "
                    f"something else for the nodes {begin} to {end - 1}; leave {EDGES_PER_PASS} out"
                )
            if found is None:
                found = answer.new_empty((call.num_nodes, *answer.shape[1:]))
            found[begin:end] = answer[: end - begin]
            begin = end
        assert found is not None
        return found


def _agree(one: Tensor, other: Tensor) -> bool:
    """Whether two answers are the same but for the order of sums."""
    rounding = min(256 * torch.finfo(one.dtype).eps, 0.01) if one.is_floating_point() else 0
    return bool((one - other).abs().max() <= rounding * one.abs().max())


def _named_for_edges(
    module: nn.Module, positional: tuple[object, ...], named: Mapping[str, object]
) -> set[int]:
    """Return identities of the tensors among the arguments whose names say that edges have them."""
    names = [parameter.name for parameter in forward_parameters(module)]
    given = [*zip(names, positional, strict=False), *named.items()]
    return {id(leaf) for name, value in given if "edge" in name for leaf in tree_flatten(value)[0]}
