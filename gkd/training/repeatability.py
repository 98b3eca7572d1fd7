"""Whether what a run is made of is the same whenever and wherever it is made again."""

from collections.abc import MutableMapping
from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.utils.weak import WeakIdKeyDictionary

from gkd.data import AbstractDataset, Batch
from gkd.distillation.distiller import Distiller
from gkd.distillation.modes import evaluation_mode
from gkd.distillation.network_outputs import alike
from gkd.distillation.resolve import STUDENT
from gkd.errors import ParameterError, PluginError
from gkd.files import checksum
from gkd.training.seeds import set_random_state


def require_repeatable(dataset: AbstractDataset, processes: int = 1) -> None:
    """Make sure that an epoch's training samples are the same whenever they are read.

    A single process may draw them from its random state, which is set anew for every epoch; not
    :meth:`~gkd.AbstractDataset.set_epoch`, which comes before.

    Args:
        dataset: that is trained on.
        processes: how many share its batches.

    Raises:
        ParameterError: they depend on what was read before, or on the random state of the process.
    """
    first = _first_sample(dataset, epoch=0, before=0, meanwhile=0)
    _first_sample(dataset, epoch=1, before=0, meanwhile=0)
    name = type(dataset).__name__
    if _first_sample(dataset, epoch=0, before=1, meanwhile=0) != first:
        raise ParameterError(
            f"{name}: a training sample of epoch 0 is another when it is read again: a run that "
            "is resumed, or whose networks are trained in another order, would see other data; "
            "derive what it draws from the epoch and the sample, not from a generator that goes on"
        )
    if processes > 1 and _first_sample(dataset, epoch=0, before=0, meanwhile=1) != first:
        raise ParameterError(
            f"{name} draws its training samples from the random state of the process, so that "
            "each of several devices would see others; derive what it draws from the epoch and "
            "the sample, or use one device"
        )


def _first_sample(dataset: AbstractDataset, epoch: int, before: int, meanwhile: int) -> str:
    """Return the checksum of a sample, read with these random states of the process."""
    set_random_state(before)
    dataset.set_epoch(epoch)
    set_random_state(meanwhile)
    return checksum(dict(dataset.train[0].items()))


@torch.no_grad()
def hidden_state(distiller: Distiller, batch: Batch) -> list[str]:
    """Return in words which networks that learn remember what their ``state_dict()`` has not.

    Args:
        distiller: whose networks are thrown away afterwards.
        batch: of training.
    """
    found = []
    for name in (STUDENT, *distiller.peers):
        network, logits = distiller.networks[name].train(), []
        state = deepcopy(network.state_dict())
        for _ in range(2):
            network.load_state_dict(state)
            set_random_state(0)
            logits.append(cast(Tensor, distiller.outputs(name, batch).logits))
        first, second = logits
        # Rounding may be another each time on some devices.
        if not alike(second, first):
            found.append(
                f"the {name} answers otherwise when it is called again with the same weights and "
                "random numbers: what it remembers is not in its state_dict(), so that a resumed "
                "run will differ; register it as a buffer"
            )
    return found


@torch.no_grad()
def answers_at_random(distiller: Distiller, batch: Batch) -> list[str]:
    """Return in words which networks that learn draw numbers where they are evaluated, too.

    Args:
        distiller: whose networks are thrown away afterwards.
        batch: of training.
    """
    found = []
    for name in (STUDENT, *distiller.peers):
        network, logits = distiller.networks[name], []
        with evaluation_mode(network):
            for seed in range(2):
                set_random_state(seed)
                logits.append(cast(Tensor, distiller.outputs(name, batch).logits))
        first, second = logits
        if not alike(second, first):
            found.append(
                f"the {name} answers at random in evaluation mode, too, as with a dropout that "
                "does not ask whether it is training: its scores are those of one draw, and are "
                "others when they are taken again"
            )
    return found


class Separateness:
    """Networks that were made so far, no two of which may learn the same parameter."""

    def __init__(self) -> None:
        self._known: MutableMapping[nn.Parameter, bool] = WeakIdKeyDictionary()

    def require(self, network: nn.Module, name: str) -> None:
        """Make sure that a new network learns no parameter of another that still lives.

        Args:
            network: as its factory gave it.
            name: of the model.

        Raises:
            PluginError: it does.
        """
        learned = {
            path: parameter
            for path, parameter in network.named_parameters()
            if parameter.requires_grad and not is_lazy(parameter) and parameter.numel()
        }
        known = {parameter.untyped_storage().data_ptr() for parameter in self._known}
        for path, parameter in learned.items():
            if parameter.untyped_storage().data_ptr() in known:
                raise PluginError(
                    f"the model {name!r} gives the same {path} to several networks, so that what "
                    "one learns changes the others; make it anew for each, or freeze it "
                    "(requires_grad_(False))"
                )
        self._known.update(dict.fromkeys(learned.values(), True))
