"""Laws of models: what they return."""

import torch
from hypothesis import strategies as st
from torch import Tensor

from gkd.data import Batch, collate
from gkd.testing.law import law, require
from gkd.testing.laws.cases import Relabelled, Reordered, edge_orders
from gkd.testing.laws.comparison import require_close, require_finite, require_unmodified
from gkd.testing.laws.model_calls import (
    evaluating,
    logits_of,
    model_batches,
    said_inputs,
    training,
    widths,
    with_tensors,
)
from gkd.testing.strategies.graphs import relabellings
from gkd.testing.subject import Subject


def require_logits(logits: object, batch: Batch, out_channels: int) -> None:
    """Require finite logits for every node, or for every sample."""
    if not isinstance(logits, Tensor):
        raise AssertionError(f"it returns {type(logits).__name__}, not a tensor")
    nodes, samples = [batch.num_nodes, out_channels], [batch.num_graphs, out_channels]
    require(
        list(logits.shape) in (nodes, samples),
        f"the shape is {list(logits.shape)}, neither {nodes} (nodes) nor {samples} (samples)",
    )
    require_finite(logits, "the logits")


@law("model", problems=lambda subject: model_batches(subject, min_samples=2, min_nodes=2))
def finite_logits(subject: Subject, batch: Batch) -> None:
    """A task needs one finite number for each class, of every node or of every sample."""
    out_channels = widths(subject)[1]
    require_logits(logits_of(training(subject), batch), batch, out_channels)
    require_logits(logits_of(evaluating(subject), batch), batch, out_channels)


def without_edges(batch: Batch) -> Batch:
    """Return the batch without any edge."""
    tensors = {name: t[:, :0] if name == "edge_index" else t for name, t in batch.items()}
    extents = {
        name: tuple(0 for _ in extent) if name == "edge_index" else extent
        for name, extent in batch.extents.items()
    }
    return Batch(tensors, batch.ids, extents)


@law("model", problems=lambda subject: model_batches(subject).map(without_edges))
def isolated_nodes_and_empty_edges(subject: Subject, batch: Batch) -> None:
    """Batches contain nodes, and whole graphs, without any edge."""
    require_logits(logits_of(evaluating(subject), batch), batch, widths(subject)[1])


def _edges_only(subject: Subject) -> str:
    taken = "edge_index" in said_inputs(subject.specimen)
    return "" if taken else "declared: edge_index is not among its inputs"


@st.composite
def _reordered(draw: st.DrawFn, subject: Subject) -> Reordered[Batch]:
    batch = draw(model_batches(subject))
    return Reordered(batch, draw(edge_orders(batch.edge_index, repeat=False)))


@law("model", problems=_reordered, exemption=_edges_only)
def invariant_to_edge_order(subject: Subject, case: Reordered[Batch]) -> None:
    """The order in which edges are listed means nothing."""
    model = evaluating(subject)
    other = with_tensors(case.problem, {"edge_index": case.edge_index})
    expected = logits_of(model, case.problem)
    require_close(logits_of(model, other), expected, "other order of edges")


@st.composite
def _relabelled(draw: st.DrawFn, subject: Subject) -> Relabelled[Batch]:
    batch = draw(model_batches(subject, smooth=True))
    return Relabelled(batch, draw(relabellings(batch.num_nodes, batch.batch)))


@law("model", problems=_relabelled)
def equivariant_to_node_relabelling(subject: Subject, case: Relabelled[Batch]) -> None:
    """Numbers of nodes are names: they carry no meaning."""
    model, batch, order = evaluating(subject), case.problem, case.order
    changed = {name: batch_tensor[order] for name, batch_tensor in _per_node(batch).items()}
    if "edge_index" in batch:
        changed["edge_index"] = order.argsort()[batch.edge_index]
    logits = logits_of(model, batch)
    expected = logits[order] if len(logits) == batch.num_nodes else logits
    require_close(logits_of(model, with_tensors(batch, changed)), expected, "other order of nodes")


def _per_node(batch: Batch) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in batch.items() if name in ("x", "pos")}


@law(
    "model",
    problems=lambda subject: model_batches(subject, min_samples=2, smooth=True),
    share=0.5,
)
def samples_do_not_mix(subject: Subject, batch: Batch) -> None:
    """A prediction must not depend on which other samples share the batch."""
    model = evaluating(subject)
    alone = [logits_of(model, collate([sample])) for sample in batch.split()]
    require_close(logits_of(model, batch), torch.cat(alone), "in a batch instead of alone")


@law(
    "model",
    problems=lambda subject: model_batches(subject, min_samples=2, min_nodes=2),
    share=0.5,
)
def inputs_unmodified(subject: Subject, batch: Batch) -> None:
    """The next epoch, and the other networks, read the same batch."""
    before = {name: tensor.clone() for name, tensor in batch.items()}
    logits_of(training(subject), batch)
    require_unmodified(before, dict(batch.items()))
