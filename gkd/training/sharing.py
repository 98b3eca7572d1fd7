"""What several processes that share batches do otherwise than one, found before they begin."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gkd.data import Batch, collate
from gkd.data.shared_batch import shares
from gkd.distillation.distiller import Distiller
from gkd.distillation.joint_outputs import join_outputs
from gkd.distillation.modes import evaluation_mode
from gkd.distillation.network_outputs import alike
from gkd.errors import ParameterError


@torch.no_grad()
def differences(distiller: Distiller, batch: Batch, processes: int) -> list[str]:
    """Return in words what is not as on one device, where processes share batches.

    Args:
        distiller: with the networks.
        batch: of training, whole.
        processes: how many share it.

    Raises:
        ParameterError: a tap that cannot be put together from what processes have of it.
    """
    if processes == 1:
        return []
    parts = [collate(share) for share in shares(batch.split(), processes) if share]
    found = []
    for name, network in distiller.networks.items():
        with evaluation_mode(network):
            whole = distiller.outputs(name, batch)
            joined = join_outputs([(distiller.outputs(name, part), part) for part in parts])
        for place, ours, theirs in whole.pairs(joined):
            if ours.shape != theirs.shape:
                raise ParameterError(
                    f"{name}: {place} of shape {list(ours.shape)} becomes {list(theirs.shape)} "
                    f"where {processes} devices share a batch: its first axis must be that of "
                    "nodes or samples; tap another sub-module, or use one device"
                )
            if not alike(theirs, ours):
                found.append(
                    f"{processes} devices: what the {name} outputs for a sample ({place}) depends "
                    "on the other samples of the batch, or is drawn at random; each device has its "
                    "share of them alone"
                )
                break
        if norms := _batch_norms(network):
            found.append(
                f"{processes} devices: batch normalisation of the {name} ({norms}) takes its "
                "statistics from the share of each device, not from the whole batch"
            )
    return found


def _batch_norms(network: nn.Module) -> str:
    """Return the places of the batch normalisations of a network that learns, in words."""
    learns = any(parameter.requires_grad for parameter in network.parameters())
    places = [path for path, module in network.named_modules() if isinstance(module, _BatchNorm)]
    if not learns or not places:
        return ""
    return places[0] if len(places) == 1 else f"{places[0]} and {len(places) - 1} more"
