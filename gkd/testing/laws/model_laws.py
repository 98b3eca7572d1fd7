"""The laws of models."""

import io
import pickle

import torch
from torch import Tensor, nn

from gkd.data import Batch, collate
from gkd.testing.law import law, unless_declared
from gkd.testing.laws.cases import (
    FULLS,
    HALVES,
    InPrecision,
    Relabelled,
    Reordered,
    edge_reorderings,
    in_precision,
    node_relabellings,
)
from gkd.testing.laws.declarations import declarations_are_known
from gkd.testing.laws.global_state import require_left_alone, require_nothing_drawn
from gkd.testing.laws.model_calls import (
    evaluation_model,
    generic_batch,
    logits_of,
    model_batches,
    takes_edges,
    training_model,
    widths,
    with_tensors,
)
from gkd.testing.laws.requirements import (
    BLOCK,
    FEW_EDGES,
    ONE_MORE_EDGE,
    require,
    require_close,
    require_finite,
    require_linear,
    require_right_gradient,
    require_unmodified,
)
from gkd.testing.memory_watch import MemoryWatch
from gkd.testing.other_process import call_elsewhere
from gkd.testing.placement_watch import PlacementWatch, accelerator
from gkd.testing.subject import Subject
from gkd.testing.work_watch import WorkWatch


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


@law(
    "model",
    problems=lambda subject: model_batches(subject, min_samples=2, min_nodes=2),
    premise=True,
)
def finite_logits(subject: Subject, batch: Batch) -> None:
    """A task needs one finite number for each class, of every node or of every sample."""
    out_channels = widths(subject)[1]
    require_logits(logits_of(training_model(subject), batch), batch, out_channels)
    require_logits(logits_of(evaluation_model(subject), batch), batch, out_channels)


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
    require_logits(logits_of(evaluation_model(subject), batch), batch, widths(subject)[1])


def _without_edge_index(subject: Subject) -> str:
    return "" if takes_edges(subject.specimen) else "declared: edge_index is not among its inputs"


@law(
    "model",
    problems=lambda subject: edge_reorderings(
        model_batches(subject), lambda batch: batch.edge_index, repeat=False
    ),
    exemption=_without_edge_index,
)
def invariant_to_edge_order(subject: Subject, case: Reordered[Batch]) -> None:
    """The order in which edges are listed means nothing."""
    model = evaluation_model(subject)
    other = with_tensors(case.problem, {"edge_index": case.edge_index})
    expected = logits_of(model, case.problem)
    require_close(logits_of(model, other), expected, "other order of edges")


@law(
    "model",
    problems=lambda subject: node_relabellings(
        model_batches(subject, smooth=True), lambda batch: (batch.num_nodes, batch.batch)
    ),
)
def equivariant_to_node_relabelling(subject: Subject, case: Relabelled[Batch]) -> None:
    """Numbers of nodes are names: they carry no meaning."""
    model, batch, order = evaluation_model(subject), case.problem, case.order
    changed = {name: tensor[order] for name, tensor in batch.items() if name in ("x", "pos")}
    if "edge_index" in batch:
        changed["edge_index"] = order.argsort()[batch.edge_index]
    logits = logits_of(model, batch)
    expected = logits[order] if len(logits) == batch.num_nodes else logits
    require_close(logits_of(model, with_tensors(batch, changed)), expected, "other order of nodes")


@law(
    "model",
    problems=lambda subject: model_batches(subject, min_samples=2, smooth=True),
    share=0.5,
)
def samples_do_not_mix(subject: Subject, batch: Batch) -> None:
    """A prediction must not depend on which other samples share the batch."""
    model = evaluation_model(subject)
    alone = [logits_of(model, collate([sample])) for sample in batch.split()]
    require_close(logits_of(model, batch), torch.cat(alone), "in a batch instead of alone")


def _taking_edges_both_ways(subject: Subject) -> str:
    return _without_edge_index(subject) or unless_declared("directed")(subject)


@law("model", exemption=_taking_edges_both_ways)
def an_edge_concerns_its_target(subject: Subject) -> None:
    """Edges bring a node what its neighbours send: their number at the source plays no part."""
    model = evaluation_model(subject)
    few, more = (
        logits_of(model, generic_batch(subject, samples=1, graph=graph))
        for graph in (FEW_EDGES, ONE_MORE_EDGE)
    )
    if len(few) == 1:  # of the whole graph
        return
    # Nothing leads on from the target of that edge, which is node 3.
    others = torch.arange(len(few)) != 3
    require_close(
        more[others],
        few[others],
        "one more edge, and the nodes that no path leads to from its target; is something "
        "normalised by the source, not by the target? A model that takes edges both ways, or "
        "normalises over nodes, declares directed = False",
    )


@law(
    "model",
    problems=lambda subject: model_batches(subject, min_samples=2, min_nodes=2),
    share=0.5,
)
def inputs_unmodified(subject: Subject, batch: Batch) -> None:
    """The next epoch, and the other networks, read the same batch."""
    before = {name: tensor.clone() for name, tensor in batch.items()}
    logits_of(training_model(subject), batch)
    require_unmodified(before, dict(batch.items()))


@law("model")
def gradient_reaches_every_parameter(subject: Subject) -> None:
    """A parameter without a gradient never learns, and stalls training in several processes."""
    model = training_model(subject)
    logits = logits_of(model, generic_batch(subject))
    torch.autograd.backward(logits.square().sum())
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            require(parameter.grad is not None, f"the parameter {name} gets no gradient")
            require_finite(parameter.grad, f"the gradient of {name}")


@law(
    "model",
    problems=lambda subject: model_batches(subject, smooth=True, max_nodes=4, max_samples=2),
    share=0.2,
)
def gradcheck_in_float64(subject: Subject, batch: Batch) -> None:
    """A gradient that is not the slope trains towards something else."""
    model = evaluation_model(subject)
    named = {name: tensor for name, tensor in batch.items() if tensor.is_floating_point()}

    def logits(*tensors: Tensor) -> Tensor:
        return logits_of(model, with_tensors(batch, dict(zip(named, tensors, strict=True))))

    require_right_gradient(logits, list(named.values()))


@law("model")
def deterministic_under_a_seed(subject: Subject) -> None:
    """A run can be repeated only if everything random comes from its seed."""
    batch = generic_batch(subject)
    first, second = (logits_of(training_model(subject, seed=1), batch, seed=2) for _ in range(2))
    require(torch.equal(first, second), "the same seed gives other logits")


def train_one_step(subject: Subject, batch: Batch) -> nn.Module:
    """Return a model that has made a step: its state is not that of a new one."""
    model = training_model(subject)
    torch.autograd.backward(logits_of(model, batch).square().mean())
    torch.optim.SGD(model.parameters(), lr=0.01).step()
    model.zero_grad()
    return model.eval()


@law("model")
def state_dict_round_trip(subject: Subject) -> None:
    """A resumed run continues from what the checkpoint holds, and from nothing else."""
    batch = generic_batch(subject)
    model = train_one_step(subject, batch)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    # From another seed: what the state dict leaves out would agree by chance otherwise.
    resumed = evaluation_model(subject, seed=1)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    expected = logits_of(model, batch)
    require_close(logits_of(resumed, batch), expected, "after loading the state dict")


_PER_EDGE = 8  # heads of attention, not features


@law(
    "model",
    problems=lambda subject: in_precision(
        model_batches(subject, min_samples=2, min_nodes=2), HALVES
    ),
    share=0.5,
)
def half_precision_under_autocast(subject: Subject, case: InPrecision[Batch]) -> None:
    """Networks train in mixed precision."""
    model = training_model(subject, torch.float32)
    with torch.autocast("cpu", case.dtype):
        logits = logits_of(model, case.problem, torch.float32)
        value = logits.float().square().mean()
    require_finite(logits, f"the logits in {case.dtype}")
    torch.autograd.backward(value)
    for name, parameter in model.named_parameters():
        if parameter.grad is not None:
            require_finite(parameter.grad, f"the gradient of {name} in {case.dtype}")


@law("model", problems=lambda subject: in_precision(model_batches(subject), FULLS), share=0.5)
def dtype_preserved(subject: Subject, case: InPrecision[Batch]) -> None:
    """A model in float64 is asked for float64 digits."""
    logits = logits_of(evaluation_model(subject, case.dtype), case.problem, case.dtype)
    require(logits.dtype == case.dtype, f"in {case.dtype} the logits are {logits.dtype}")


@law("model")
def device_preserved(subject: Subject) -> None:
    """On an accelerator, a tensor left behind on the CPU ends the training."""
    batch = generic_batch(subject)
    with PlacementWatch() as watch:
        model = training_model(subject)
        watch.settle([*model.parameters(), *model.buffers()])
        logits = logits_of(model, batch)
        require(not watch.is_stray(logits), "the logits are made without device=")
        torch.autograd.backward(logits.square().sum())
    device = accelerator()
    if device is not None:
        model = training_model(subject, torch.float32).to(device)
        logits = logits_of(model, batch.to(device), torch.float32)
        require(logits.device.type == device.type, f"inputs on {device} give {logits.device}")
        require_finite(logits, f"the logits on {device}")


@law("model")
def global_state_left_alone(subject: Subject) -> None:
    """A model that seeds has the same first weights under every seed, and the same dropout."""
    require_left_alone(lambda: subject.make(**subject.params), "making it")
    batch, model = generic_batch(subject), training_model(subject)
    require_left_alone(lambda: logits_of(model, batch, seed=None), "a training step")
    model.eval()
    require_nothing_drawn(lambda: logits_of(model, batch, seed=None), "a call in evaluation mode")


@law("model", exemption=unless_declared("bounded_memory"))
def bounded_memory(subject: Subject) -> None:
    """Graphs have many more edges than nodes: features gathered for each do not fit."""
    nodes, edges = 1024, 8192
    # Twice the nodes: twice the memory where it grows with them, four times with their pairs.
    few, large = _largest(subject, nodes, edges), _largest(subject, 2 * nodes, edges)
    require(
        large.elements <= max(3 * few.elements, BLOCK),
        f"with {2 * nodes} instead of {nodes} nodes, {large.description}: "
        f"{large.elements / few.elements:.1f} times as much; {_HINT}",
    )
    if not takes_edges(subject.specimen):
        return
    # Four times the edges, the same nodes: what is more is held for each edge.
    many = _largest(subject, nodes, 4 * edges)
    per_edge = (many.elements - few.elements) / (3 * edges)
    require(
        per_edge <= _PER_EDGE,
        f"with {4 * edges} edges, {many.description}: {per_edge:.0f} numbers for every further "
        f"edge, where {_PER_EDGE} do; {_HINT}",
    )


_HINT = "a model that cannot do with less declares bounded_memory = False"


def _largest(subject: Subject, nodes: int, edges: int) -> MemoryWatch:
    batch = generic_batch(subject, samples=1, nodes=nodes, edges=edges)
    model = evaluation_model(subject, torch.float32)
    watch = MemoryWatch()
    with watch:
        torch.autograd.backward(logits_of(model, batch, torch.float32).square().sum())
    return watch


@law("model", exemption=unless_declared("linear_work"))
def work_grows_with_the_graph(subject: Subject) -> None:
    """Four times the graph must not take sixteen times the time."""

    def work(nodes: int) -> WorkWatch:
        batch = generic_batch(subject, samples=1, nodes=nodes, edges=4 * nodes)
        model, watch = evaluation_model(subject), WorkWatch()
        with watch:
            logits_of(model, batch)
        return watch

    require_linear(work)


@law("model")
def pickles(subject: Subject) -> None:
    """Launchers, checkpoints and data loaders send components by pickle."""
    batch = generic_batch(subject)
    model = train_one_step(subject, batch)
    copy = pickle.loads(pickle.dumps(model))
    require_close(logits_of(copy, batch), logits_of(model, batch), "after pickling")


@law("model")
def works_in_two_processes(subject: Subject) -> None:
    """Several processes train together, and none sees the others' memory."""
    batch = generic_batch(subject)
    model = train_one_step(subject, batch)
    there = call_elsewhere(logits_of, model, batch)
    require_close(there, logits_of(model, batch), "in another process")


declarations = law("model")(declarations_are_known)
