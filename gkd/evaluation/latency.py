"""How long networks take to answer requests, measured side by side."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter, process_time
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from gkd.data import Batch, collate
from gkd.data.neighbour_loader import NeighbourLoader
from gkd.data.sample import Sample, is_edge_index
from gkd.distillation.inputs import Arguments, Inputs, NetworkInputs, inputs_or
from gkd.distillation.layer_by_layer import call_by_layers
from gkd.distillation.logits import declared_logits, logits_of
from gkd.distillation.modes import evaluation_mode
from gkd.errors import ParameterError
from gkd.evaluation.cost import wait_for
from gkd.functional.network_input import device_of

NODE_COUNTS = (1, 10, 1000)
"""Of a request to a network that answers for nodes."""
FIRST, AGAIN = "first", "again"
"""Requests for a whole sample: one that was never seen before, and one that was."""

_HOPS_AT_MOST = 10
_PROBES = 3  # nodes
_TOLERANCE = 1e-3  # of the largest logit, in half precision, too
_Request = Callable[[], object]


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds that requests of one kind took.

    Args:
        p50: half of them took less.
        p99: 99 of 100 took less.
        cpu: of all cores together, the median.
    """

    p50: float
    p99: float
    cpu: float


def latencies(
    networks: Mapping[str, nn.Module],
    samples: Sequence[Sample],
    inputs: Inputs,
    *,
    precision: Callable[[], AbstractContextManager[object]] = nullcontext,
    rounds: int = 50,
    seconds: float = 5.0,
    at_most: int = 16,
    clock: Callable[[], float] = perf_counter,
) -> dict[str, dict[str, Latency]]:
    """Time that each network takes for requests of each kind, by network and kind.

    All networks take turns, and so does who comes first: what slows the machine for a while slows
    all of them. Networks run in eval mode without autograd; a device is waited for.

    Kinds of requests are a whole sample whose graph was never seen (``"first"``) or was
    (``"again"``), and, where a network answers for the nodes of a graph, some of them at random
    (``"1"``, ``"10"``, ``"1000"``): their neighbourhood is fetched, as many hops as the answers
    need, and the network runs on it. A network that needs no edges fetches rows alone; where the
    answers of nodes need the whole graph, there are no such requests.

    Args:
        networks: on the device to measure them on.
        samples: what they are asked about; the first ``at_most`` of them are used.
        inputs: what a network is called with that does not declare it.
        precision: context that they run in.
        rounds: requests of each kind to each network, at most.
        seconds: after which no further round begins, but for the first three.
        at_most: samples.
        clock: seconds.

    Raises:
        ParameterError: there is no sample, or a number is out of its range.
    """
    chosen = [samples[index] for index in range(min(at_most, len(samples)))]
    if not chosen or rounds < 1:
        raise ParameterError("latencies needs samples and at least one round")
    modules = list(networks.values())
    taken: dict[tuple[str, str], list[tuple[float, float]]] = {}
    with torch.inference_mode(), precision():
        # Shared by all networks: one sample may be a graph of a million nodes.
        batches = [collate([sample]).to(device_of(modules[0])) for sample in chosen]
        kinds = [
            (name, kind, requests)
            for name, network in networks.items()
            for kind, requests in _kinds(network, batches, chosen[-1], inputs)
        ]
        begun = clock()
        with evaluation_mode(nn.ModuleList(modules)):
            for number in range(rounds + 1):
                if number > 3 and clock() - begun > seconds:
                    break
                for name, kind, requests in kinds if number % 2 else reversed(kinds):
                    request = next(requests)
                    wall, cpu = clock(), process_time()
                    request()
                    if number:  # what is prepared with the first request is not its time
                        spent = clock() - wall, process_time() - cpu
                        taken.setdefault((name, kind), []).append(spent)
                    del request  # a copy of a whole graph, before there is another
    found: dict[str, dict[str, Latency]] = {name: {} for name in networks}
    for name, kind, _ in kinds:
        walls, cpus = 1000 * np.array(taken[name, kind]).T
        p50, p99 = np.quantile(walls, [0.5, 0.99])
        found[name][kind] = Latency(float(p50), float(p99), float(np.median(cpus)))
    return found


def _kinds(
    network: nn.Module, batches: Sequence[Batch], sample: Sample, inputs: Inputs
) -> Iterator[tuple[str, Iterator[_Request]]]:
    """Yield the kinds of requests; ``sample`` is what the last of the batches is made of."""
    device = device_of(network)
    called_with = NetworkInputs(inputs_or(network, inputs), network, "network")
    known = [called_with.arguments(batch) for batch in batches]

    def answer(arguments: Arguments) -> Tensor:
        returned = call_by_layers(network, arguments)
        return logits_of(returned, declared_logits(network), "network")

    def timed(arguments: Arguments) -> None:
        call_by_layers(network, arguments)
        wait_for(device)

    def again() -> Iterator[_Request]:
        while True:
            for arguments in known:
                yield partial(timed, arguments)

    def first() -> Iterator[_Request]:
        while True:
            for arguments in known:
                # Of new tensors nobody remembers anything, as of a graph never seen.
                # Made in place, so that nothing here keeps a copy while others are asked.
                yield partial(
                    timed,
                    replace(
                        arguments,
                        positional=tree_map(_copy, arguments.positional),
                        named=tree_map(_copy, arguments.named),
                    ),
                )

    with evaluation_mode(network):
        for arguments in known:
            logits = answer(arguments)
        yield FIRST, first()
        yield AGAIN, again()
        if "edge_index" not in sample or logits.shape[:1] != (sample.num_nodes,):
            return
        fetch = _fetching(sample, called_with, device, answer, logits)
    if fetch is None:
        return

    def nodes(count: int) -> Iterator[_Request]:
        batches = fetch(count)
        while True:
            yield lambda: timed(called_with.arguments(next(batches)))

    for count in NODE_COUNTS:
        if count <= sample.num_nodes:
            yield str(count), nodes(count)


def _fetching(
    sample: Sample,
    inputs: NetworkInputs,
    device: torch.device,
    answer: Callable[[Arguments], Tensor],
    logits: Tensor,
) -> Callable[[int], Iterator[Any]] | None:
    """Return what fetches batches of nodes at random with all that their answers need."""
    if not any(is_edge_index(name) for name in inputs.attributes) and inputs.attributes:
        return lambda count: _rows(sample, inputs, count, device)
    for hops in range(1, _HOPS_AT_MOST + 1):
        try:
            probe = next(_neighbourhoods(sample, hops, min(_PROBES, sample.num_nodes), device))
            alone = answer(inputs.arguments(probe))[: probe.batch_size]
        except Exception:  # whatever it is, the network or the graph does without division alone
            return None
        apart = (alone - logits[probe.node_numbers[: probe.batch_size]]).abs().max()
        if float(apart) <= _TOLERANCE * float(logits.abs().max()):
            return lambda count: _neighbourhoods(sample, hops, count, device)
    return None


def _neighbourhoods(sample: Sample, hops: int, count: int, device: torch.device) -> Iterator[Any]:
    # A last batch of fewer nodes would be another request.
    loader = NeighbourLoader(sample, ["all"] * hops, count, drop_last=True)
    for epoch in iter(int, None):
        loader.set_epoch(epoch)
        for batch in loader:
            yield batch.to(device)


def _rows(
    sample: Sample, inputs: NetworkInputs, count: int, device: torch.device
) -> Iterator[SimpleNamespace]:
    attributes = {name: getattr(sample, name) for name in inputs.attributes}
    while True:
        nodes = torch.randint(sample.num_nodes, (count,))
        yield SimpleNamespace(
            **{name: value.index_select(0, nodes).to(device) for name, value in attributes.items()}
        )


def _copy(value: object) -> object:
    return value.clone() if isinstance(value, Tensor) else value
