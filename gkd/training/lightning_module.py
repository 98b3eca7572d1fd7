"""The Lightning module: the step of training, that of validation, the optimiser."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from statistics import fmean
from typing import Any

from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor

from gkd.data import Batch
from gkd.distillation.distiller import Distiller
from gkd.distillation.step_report import StepReport
from gkd.evaluation.cost import peak_memory
from gkd.evaluation.scores import Scores
from gkd.hosting.hookspecs import StepEvent
from gkd.recipe.training import TrainingRecipe
from gkd.training.checkpoints import upgrade_checkpoint
from gkd.training.learning_rate import learning_rate_schedule, optimiser
from gkd.training.provenance import MADE_BY
from gkd.training.seeds import derived_seed, set_random_state

_STEPS_PER_SHARE = 50  # measuring goes backwards through all that lies behind the taps


class DistillationModule(LightningModule):
    """Trains what a distiller holds; a distiller without terms trains a network by its task.

    Args:
        distiller: prepared, so that its adapters exist.
        training: optimiser, learning rate and schedule.
        seed: all randomness of an epoch derives from it and the epoch.
        scores: the metrics of the validation split.
        observers: called with every step.
        made_by: what checkpoints say of the network.
        named: what observers are told of it: network, method, seed.
    """

    def __init__(
        self,
        distiller: Distiller,
        training: TrainingRecipe,
        seed: int,
        scores: Scores,
        observers: Callable[[StepEvent], object] | None = None,
        made_by: Mapping[str, Any] | None = None,
        named: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.distiller = distiller
        self.training_recipe = training
        self.seed = seed
        self.scores = scores
        self.observers = observers
        self.made_by = dict(made_by or {})
        self.named = dict(named or {})
        self.validation: dict[str, float] = {}
        self.peak_memory_bytes: int | None = None
        self.means = StepMeans()

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Build the optimiser of all that learns, and its schedule."""
        learned = self.distiller.learned
        own = [] if learned is None else list(learned.parameters())
        rest = [p for p in self.distiller.parameters() if all(p is not one for one in own)]
        # Decay would draw the weights of losses to 1.
        groups: list[dict[str, Any]] = [{"params": rest}]
        if own:
            groups.append({"params": own, "weight_decay": 0.0})
        optimizer = optimiser(groups, self.training_recipe)
        schedule = learning_rate_schedule(optimizer, self.training_recipe)
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def on_train_epoch_start(self) -> None:
        """Set everything that depends on the epoch, as a resumed run has to find it again."""
        epoch = self.current_epoch
        set_random_state(derived_seed(self.seed, "epoch", epoch, self.global_rank))
        self.distiller.train()
        self.distiller.epoch = epoch
        # Networks draw in every process anew, losses the same in all.
        self.distiller.seed = derived_seed(self.seed, "epoch", epoch, 0)
        self.means = StepMeans()
        if epoch + 1 == self.trainer.max_epochs:
            self.trainer.check_val_every_n_epoch = 1  # the last epoch is validated in any case

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Loss of one batch."""
        report: StepReport = self.distiller(batch)
        self._report = detached(report)
        self.means.add(self._report)
        if report.terms and batch_idx % _STEPS_PER_SHARE == 0:
            self.means.add_shares(report.gradient_shares())
        return report.total

    def optimizer_step(
        self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None
    ) -> None:
        """Take a step: the closure goes forwards and backwards, then the optimiser moves.

        The memory of the second step is measured: the first also sets the optimiser up. It
        counts where there is no second one.
        """
        step = partial(super().optimizer_step, epoch, batch_idx, optimizer, optimizer_closure)
        if self.global_step < 2:
            self.peak_memory_bytes = peak_memory(step, self.device)
        else:
            step()
        if self.distiller.average is not None:
            self.distiller.update_average()

    def on_train_batch_end(self, outputs: Any, batch: Batch, batch_idx: int) -> None:
        """Tell the observers of the step, now that the optimiser has taken it."""
        if self.observers is not None:
            event = StepEvent(
                self.current_epoch,
                self.global_step - 1,
                self._report,
                **self.named,
                validation=self.validation,
            )
            self.observers(event)

    def on_validation_epoch_start(self) -> None:
        """Forget the scores of the last validation."""
        self.scores.reset()

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Score the student on one batch; the first process sees the whole split, and does it."""
        if self.trainer.is_global_zero:
            self.scores.update(self.distiller.student, batch, "validation")

    def on_validation_epoch_end(self) -> None:
        """Log the scores."""
        found = self.scores.compute() if self.trainer.is_global_zero else {}
        if found:
            found = {**found, "loss": self.scores.loss}
        # All processes have to agree on the selected epoch, or they wait for one another for ever.
        found = self.trainer.strategy.broadcast(found)
        self.validation = {name: float(value) for name, value in found.items()}
        values = {f"validation/{name}": value for name, value in found.items()}
        self.log_dict(values, batch_size=1, logger=False)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what was measured, and say which network it is."""
        checkpoint["peak_memory_bytes"] = self.peak_memory_bytes
        checkpoint[MADE_BY] = self.made_by

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Go on with what was measured."""
        self.peak_memory_bytes = checkpoint.get("peak_memory_bytes")
        upgrade_checkpoint(checkpoint, self.scores.monitor, self.training_recipe)


def detached(report: StepReport) -> StepReport:
    """Values of a report without the activations behind them."""
    return StepReport(
        total=report.total.detach(),
        task=report.task.detach(),
        terms={name: value.detach() for name, value in report.terms.items()},
        weights=report.weights,
        logits=report.logits.detach(),
        compared={},
        peers={name: value.detach() for name, value in report.peers.items()},
        task_weight=report.task_weight,
    )


class StepMeans:
    """Means of the losses over the steps of an epoch, without waiting for the device.

    Lightning's ``self.log`` costs more in every step than a small network's forward pass, and goes
    on to offer the loss of a term that has no weight in the running epoch.
    """

    def __init__(self) -> None:
        self.steps = 0
        self.sums: dict[str, Tensor] = {}
        self._shares: dict[str, list[float]] = {}
        self.weights: dict[str, float] = {}
        self.task_weight = 1.0

    def add(self, report: StepReport) -> None:
        """Take in one detached step; every step counts alike, whatever its size."""
        self.steps += 1
        self.weights = dict(report.weights)
        self.task_weight = report.task_weight
        values = {"loss": report.total, "task": report.task}
        values.update({f"task/{name}": value for name, value in report.peers.items()})
        values.update({f"term/{name}": value for name, value in report.terms.items()})
        for name, value in values.items():
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def add_shares(self, shares: Mapping[str, float]) -> None:
        """Take in the sizes of the terms' gradients relative to the task's, where it has one."""
        for name, share in shares.items():
            if math.isfinite(share):
                self._shares.setdefault(name, []).append(share)

    def row(self) -> dict[str, float]:
        """Mean of every loss, terms unweighted, the weights, the shares: waits for the device."""
        row = {name: float(total) / self.steps for name, total in self.sums.items()}
        row |= {f"weight/{name}": weight for name, weight in self.weights.items()}
        row |= {"task_weight": self.task_weight} if self.task_weight != 1 else {}
        return row | {f"share/{name}": share for name, share in self.gradient_shares.items()}

    @property
    def gradient_shares(self) -> dict[str, float]:
        """Mean of each term's gradient relative to the task's, over the steps that measured it."""
        return {name: fmean(shares) for name, shares in self._shares.items()}
