"""Sub-graphs of one graph, batch by batch: seed nodes with sampled neighbourhoods."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from gkd.data.batch import Batch
from gkd.data.batch_attributes import node_and_edge_types, tensors
from gkd.data.batch_nodes import BatchNodes
from gkd.data.loader_workers import end_quietly
from gkd.data.rows import Rows
from gkd.data.sample import holds_nodes, is_edge_index
from gkd.data.sampled_batch import SampledBatch, extents_of
from gkd.data.subgraphs import FanOut, Subgraphs
from gkd.errors import DataError, ParameterError, validated
from gkd.functional.draws import mixed_names
from gkd.graph.edge_index import check_edge_index

_PLACES = ("batch", "ptr")
_TAKEN = ("batch_size", "node_numbers", "whole")  # a tensor of such a name would be hidden


class NeighbourLoader(DataLoader[SampledBatch]):
    """Batches of seed nodes of one graph, each with a sampled neighbourhood.

    An epoch passes over all rows once, ``batch_size`` seeds in a step. Of each seed at most as many
    in-edges are drawn as the first fan-out says, of each node that these lead to as many as the
    second says, and so on: one fan-out for each layer of the networks that passes messages. The
    edges of a node are drawn once in a batch, all sets of them equally likely. What comes is a
    :class:`~gkd.data.sampled_batch.SampledBatch`: a graph whose first rows are the seeds, with all
    that the whole graph has of these nodes and edges. Losses take rows among the seeds.

    With ``"all"`` for every layer, what networks compute at the seeds is what they compute there on
    the whole graph. A layer that counts the neighbours of its sources, as GCN does to divide by
    them, needs one fan-out more.

    Batches follow from the seed, the epoch and their number alone: the same after a resumption, in
    any number of workers. Without compiled packages; torch_geometric's ``NeighborLoader`` works in
    its place where its back end is installed: its batches have no whole graph to keep a teacher's
    answers of, and terms name ``rows="seeds"``.

    Args:
        graph: a :class:`gkd.Sample`, a batch of one, PyTorch Geometric's ``Data``, or any object
            with ``edge_index`` (or ``adj_t``) and tensors with a row per node or edge.
        neighbours: fan-outs, from the seeds on; ``"all"`` draws none and takes all.
        batch_size: seeds in a step.
        rows: that become seeds: a mask of the graph as terms name them, or ``"all"``.
        seed: of order and draws.
        shuffle: whether the order is another in every epoch.
        drop_last: whether a last batch of fewer seeds is left out.
        num_workers: processes that sample.

    Raises:
        DataError: the graph has nodes of several types, or a tensor that cannot be divided.
        ParameterError: an argument is out of its range, or there are no such rows.

    >>> from gkd import Sample
    >>> graph = Sample(id="path", x=torch.arange(4.0)[:, None],
    ...     edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]))
    >>> loader = NeighbourLoader(graph, ["all", "all"], batch_size=2, shuffle=False)
    >>> [(batch.batch_size, batch.n_id.tolist()) for batch in loader]
    [(2, [0, 1]), (2, [2, 3, 1, 0])]
    """

    @validated
    def __init__(
        self,
        graph: object,
        neighbours: Annotated[Sequence[FanOut], Field(min_length=1)],
        batch_size: PositiveInt,
        rows: str = "all",
        seed: int = 0,
        shuffle: bool = True,
        drop_last: bool = False,
        num_workers: NonNegativeInt = 0,
    ) -> None:
        batches = _Batches(graph, neighbours, seed)
        whole = batches.whole
        chosen = Rows.parse(rows).of(whole, whole.num_nodes)
        chosen = torch.arange(whole.num_nodes) if chosen is None else chosen
        if not len(chosen) or (drop_last and len(chosen) < batch_size):
            raise ParameterError(
                f"rows {rows!r}: {len(chosen)} nodes make no batch of {batch_size} seeds"
            )
        self._whole = whole
        self._seeds = _Seeds(chosen, batch_size, seed, shuffle, drop_last)
        super().__init__(
            batches,
            batch_size=None,  # the sampler makes whole batches
            sampler=self._seeds,
            num_workers=num_workers,
            worker_init_fn=end_quietly,
            collate_fn=_as_it_is,
            generator=torch.Generator(),  # so that the global one does not depend on loaders
        )

    @property
    def seeds(self) -> Tensor:
        """Nodes that become seeds, int64, ascending."""
        return self._seeds.rows

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch (from 0) the next batches are of."""
        self._seeds.set_epoch(epoch)

    def __iter__(self) -> Iterator[SampledBatch]:  # type: ignore[override]  # a generator is enough
        """Yield the batches of an epoch."""
        for batch in super().__iter__():
            # Here, as a worker would send the whole graph along with every batch.
            batch._whole = self._whole
            yield batch


class _Seeds(Sampler[tuple[int, int, Tensor]]):
    """Epoch, number and seeds of every batch of an epoch."""

    def __init__(
        self, rows: Tensor, batch_size: int, seed: int, shuffle: bool, drop_last: bool
    ) -> None:
        self.rows, self.size, self.seed = rows, batch_size, seed
        self.shuffle, self.drop_last, self.epoch = shuffle, drop_last, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        whole, rest = divmod(len(self.rows), self.size)
        return whole if self.drop_last or not rest else whole + 1

    def __iter__(self) -> Iterator[tuple[int, int, Tensor]]:
        rows, epoch = self.rows, self.epoch
        if self.shuffle:
            rows = rows[torch.randperm(len(rows), generator=_generator(self.seed, epoch, 0))]
        for number, seeds in enumerate(torch.split(rows, self.size)[: len(self)]):
            yield epoch, number, seeds


class _Batches(Dataset[SampledBatch]):
    """The batch of any seeds of a graph: their sampled neighbourhood."""

    def __init__(self, graph: object, neighbours: Sequence[FanOut], seed: int) -> None:
        self.whole, self._rows_of = _as_batch(graph)
        self._neighbours, self._seed = neighbours, seed
        self._subgraphs = Subgraphs(self.whole.edge_index, self.whole.num_nodes)

    def __getitem__(self, place: tuple[int, int, Tensor]) -> SampledBatch:
        epoch, number, seeds = place
        generator = _generator(self._seed, epoch, number + 1)
        nodes, edge_index, edges = self._subgraphs.around(seeds, self._neighbours, generator)
        drawn, part = {"node": nodes, "edge": edges}, {}
        for name, rows_of in self._rows_of.items():
            tensor = getattr(self.whole, name)
            part[name] = tensor.index_select(0, drawn[rows_of]) if rows_of in drawn else tensor
        part |= {"edge_index": edge_index, "ptr": torch.tensor([0, len(nodes)])}
        part["batch"] = torch.zeros(len(nodes), dtype=torch.int64)
        part.setdefault("n_id", nodes)
        return SampledBatch(part, self.whole.ids[0], len(seeds), nodes)


def _as_batch(graph: object) -> tuple[Batch, dict[str, str]]:
    """Return one graph as a batch in the same memory, and what the rows of its tensors are of.

    Raises:
        DataError: it is not one graph whose tensors can be divided.
    """
    what = f"a graph to sample from ({type(graph).__name__})"
    if node_and_edge_types(graph):
        raise DataError(f"{what} has nodes of several types; make one graph of one type of nodes")
    nodes = BatchNodes(graph)
    edges, number = nodes.edges("edge_index", required=False), nodes.number
    if edges is None or number is None:
        lacks = "edge_index" if edges is None else "num_nodes"
        raise DataError(f"{what} has no {lacks}")
    if nodes.num_samples not in (None, 1):
        raise DataError(f"{what} is {nodes.num_samples} graphs; take one of them")
    check_edge_index(edges, number)
    found: dict[str, Tensor] = {"edge_index": edges}
    rows_of = {}
    for name, tensor in tensors(graph).items():
        if name in (*_PLACES, "edge_index") or tensor.layout != torch.strided:
            continue
        if name in _TAKEN or holds_nodes(name, tensor) or is_edge_index(name):
            why = "is a name of sampled batches" if name in _TAKEN else "holds numbers of nodes"
            raise DataError(f"{what}: {name} {why}; leave it out or call it otherwise")
        rows_of[name] = "node" if len(tensor) == number else "graph"
        # Where there are as many edges as nodes, the name tells.
        if len(tensor) == edges.shape[1] and (name.startswith("edge") or len(tensor) != number):
            rows_of[name] = "edge"
        elif len(tensor) not in (number, 1):
            raise DataError(
                f"{what}: {name} {list(tensor.shape)} has a row neither for each of {number} nodes "
                f"nor for each of {edges.shape[1]} edges"
            )
        found[name] = tensor
    ids = nodes.ids or (str(getattr(graph, "id", "graph")),)
    extents = extents_of(found)
    found["batch"] = torch.zeros(number, dtype=torch.int64)
    found["ptr"] = torch.tensor([0, number])
    return Batch(found, ids, extents), rows_of


def _as_it_is(batch: object) -> object:
    return batch


def _generator(seed: int, epoch: int, purpose: int) -> torch.Generator:
    """Return the generator of the order (purpose 0) or of a batch."""
    key = torch.tensor(seed)
    for number in (epoch, purpose):
        key = mixed_names(key, torch.tensor(number))
    return torch.Generator().manual_seed(int(key))
