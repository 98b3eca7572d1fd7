"""What sampled neighbourhoods cannot give: refused, or said, before anything is trained."""

import torch
from torch import Tensor

from gkd.data import AbstractDataset
from gkd.data.sampled_batch import SampledBatch
from gkd.data.task import Task
from gkd.distillation.distiller import Distiller
from gkd.distillation.modes import evaluation_mode
from gkd.distillation.resolve import ResolvedTerm
from gkd.distillation.task_choice import find_task
from gkd.distillation.views import declared_uses
from gkd.errors import ParameterError
from gkd.recipe.training import TrainingRecipe
from gkd.training.devices import Devices
from gkd.training.experiment import Experiment

_ROUNDING = 1e-3  # of the largest output


def require_sampling(dataset: AbstractDataset, devices: Devices) -> None:
    """Make sure that a training on sampled neighbourhoods can be what it should be.

    Raises:
        ParameterError: it cannot.
    """
    task = find_task(dataset.task)
    if type(task).examples is not Task.examples:
        raise ParameterError(
            f"sampling: {type(task).__name__} takes other examples than the nodes of a graph, and "
            "sampling cuts edges; train on the whole graph"
        )
    if devices.count > 1:
        raise ParameterError(
            f"sampling: {devices.count} devices cannot share the neighbourhoods of a step; use one"
        )


@torch.no_grad()
def looks_further(
    distiller: Distiller, experiment: Experiment, training: TrainingRecipe, device: torch.device
) -> list[str]:
    """Return in words what losses compare that depends on nodes beyond the sampled hops.

    The same neighbourhoods are drawn once more with another hop behind them. What changes at the
    seeds, or where a loss follows edges at the ends of theirs, was not whole.

    Args:
        distiller: prepared.
        experiment: whose graph it is.
        training: nothing is found where it does not sample.
        device: of the networks.
    """
    sampling = training.sampling
    if sampling is None:
        return []
    deeper = sampling.model_copy(update={"neighbours": [*sampling.neighbours, 2]})
    near, far = (
        next(experiment.batches(training.model_copy(update={"sampling": each}), device))
        for each in (sampling, deeper)
    )
    assert isinstance(near, SampledBatch)
    seeds = torch.arange(near.batch_size, device=near.x.device if "x" in near else None)
    found = []
    for name, network in distiller.networks.items():
        if name in distiller.teachers and distiller.teacher_cache is not None:
            continue  # it runs on the whole graph
        with evaluation_mode(network):
            ours, theirs = distiller.outputs(name, near), distiller.outputs(name, far)
        along = _taps_along_edges(distiller.terms, name)
        for place, one, other in ours.pairs(theirs):
            if (len(one), len(other)) != (near.num_nodes, far.num_nodes):
                continue
            rows = _with_sources(near, seeds) if place in along else seeds
            one, other = one[rows], other[rows]
            if bool((one - other).abs().max() > _ROUNDING * one.abs().max()):
                where = "seeds and their neighbours" if place in along else "seeds"
                found.append(
                    f"{place} of the {name} at the {where} depends on nodes beyond the "
                    f"{len(sampling.neighbours)} hops of sampling.neighbours; give a fan-out for "
                    "each layer that passes messages, and one more where a layer counts the "
                    "neighbours of its sources (GCN) or a loss compares along edges (LSP)"
                )
                break
    return found


def counts_sampled_edges(distiller: Distiller, training: TrainingRecipe) -> list[str]:
    """Return in words which weighers count the edges of a step where seeds have more."""
    if training.sampling is None or training.sampling.neighbours[0] == "all":
        return []
    return [
        f"the weigher of the term {term.name!r} counts the edges of a step, which are not all that "
        'its seeds have; "all" as the first of sampling.neighbours takes these'
        for term in distiller.terms
        if term.weigher is not None and "graph" in term.weigher.uses
    ]


def _with_sources(batch: SampledBatch, seeds: Tensor) -> Tensor:
    """Return the seeds and the sources of their edges."""
    source, target = batch.edge_index
    rows: Tensor = torch.unique(torch.cat([seeds, source[target < batch.batch_size]]))
    return rows


def _taps_along_edges(terms: list[ResolvedTerm], network: str) -> set[str]:
    """Return what terms compare of a network along edges, as ``NetworkOutputs.pairs`` calls it."""
    places = set()
    for term in terms:
        if "graph" not in (declared_uses(term.loss) or ()):
            continue
        views = [term.student_view] if term.student == network else []
        views += [view for name, view in term.teacher_views.items() if name == network]
        for view in views:
            places |= {f"tap {str(tap)!r}" for tap in view.feature_taps} or {"logits"}
    return places
