"""What happened in each epoch: losses, validation, time; kept in the checkpoints."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from gkd.files import write_text
from gkd.training.epoch_selection import epochs_from_one
from gkd.training.lightning_module import DistillationModule
from gkd.training.run_directory import require_folder

Row = dict[str, float]


class EpochLog(Callback):
    """Writes one row per epoch, counted from 1, to ``metrics.csv`` and the loggers.

    Lightning's ``CSVLogger`` cannot be resumed: it deletes the rows of before, and where a process
    is killed while it appends, half a row stays. It also has a row for the losses and another for
    the validation of an epoch. Here a file is as whole as the checkpoint that its rows come from.

    Args:
        folder: of the network.

    Attributes:
        settings: that loggers are told before the first row.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings: Mapping[str, Any] = {}
        self.rows: list[Row] = []
        self._began = self._learning_rate = 0.0
        self._row: Row = {}

    @property
    def training_seconds(self) -> float:
        """Time spent in training steps so far, validation not included."""
        return sum(row["seconds"] for row in self.rows)

    def state_dict(self) -> dict[str, Any]:
        """Rows so far, which a checkpoint keeps."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after the rows of a checkpoint."""
        self.rows = epochs_from_one(state_dict["rows"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Tell the loggers the settings."""
        for logger in trainer.loggers:
            logger.log_hyperparams(dict(self.settings))

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Note the time and the learning rate."""
        # Lightning steps the schedule before the epoch has ended.
        self._learning_rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        # Lightning goes on to offer the metrics of the last validation, which may be long ago.
        trainer.callback_metrics.clear()
        self._began = perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Begin the row after the last step: validation, which follows, is not training time."""
        assert isinstance(pl_module, DistillationModule)
        if trainer.is_last_batch:
            self._row = {
                "epoch": trainer.current_epoch + 1,
                **pl_module.means.row(),
                "learning_rate": self._learning_rate,
                "seconds": perf_counter() - self._began,  # in order: the losses wait for the device
            }

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Add the epoch's row."""
        row = self._row | {name: float(value) for name, value in trainer.callback_metrics.items()}
        self.rows.append(row)
        if trainer.is_global_zero:
            require_folder(self.folder)
            text = io.StringIO()
            columns = list(dict.fromkeys(name for row in self.rows for name in row))
            table = csv.DictWriter(text, columns, lineterminator="\n")
            table.writeheader()
            table.writerows(self.rows)
            write_text(self.folder / "metrics.csv", text.getvalue())
            for logger in trainer.loggers:
                logger.log_metrics(row, step=trainer.current_epoch + 1)
