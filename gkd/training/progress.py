"""Progress of one network: a bar on a terminal, a line every few seconds elsewhere."""

from collections.abc import Mapping
from datetime import timedelta
from time import monotonic
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import RichProgressBar
from rich.console import Console
from torch import Tensor

from gkd.distillation.gradients import gradient_state
from gkd.training.lightning_module import DistillationModule

SECONDS_BETWEEN_LINES = 5.0
REFRESHES_PER_SECOND = 4


def progress(title: str, console: Console) -> Callback:
    """Progress that fits the console."""
    return (ProgressBar if console.is_terminal else ProgressLines)(title, console)


class ProgressLines(Callback):
    """Prints the newest epoch, at most every few seconds, and the last epoch always.

    A bar of Lightning's would fill a log file with control characters.
    """

    def __init__(self, title: str, console: Console) -> None:
        self.title = title
        self.console = console
        self._printed = -SECONDS_BETWEEN_LINES

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the epoch's row if it is time to."""
        assert isinstance(pl_module, DistillationModule)
        epoch, epochs = trainer.current_epoch + 1, trainer.max_epochs
        now = monotonic()
        if epoch == epochs or now - self._printed >= SECONDS_BETWEEN_LINES:
            self._printed = now
            values = in_words({**pl_module.means.row(), **trainer.callback_metrics})
            shown = [f"{name} {value}" for name, value in values.items()]
            line = "  ".join([self.title, f"epoch {epoch}/{epochs}", *shown])
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)


class TermWatch(Callback):
    """Says once of each term that its gradient is lost beside the task's, or the task's beside it.

    Args:
        title: of the network.
        console: to say it on.
    """

    def __init__(self, title: str, console: Console) -> None:
        self.title = title
        self.console = console
        self._said: set[tuple[str, str]] = set()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the shares that the epoch measured."""
        assert isinstance(pl_module, DistillationModule)
        for name, share in pl_module.means.gradient_shares.items():
            state = gradient_state(share)
            if state is None or (name, state) in self._said:
                continue
            self._said.add((name, state))
            line = f"{self.title}: in epoch {trainer.current_epoch + 1} the term {name!r} {state}"
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)


class ProgressBar(RichProgressBar):
    """Lightning's bar, with the network's name and the time until it is trained.

    Args:
        title: of the network.
        console: a terminal.
    """

    def __init__(self, title: str, console: Console) -> None:
        super().__init__(
            refresh_rate=REFRESHES_PER_SECOND,
            console_kwargs={"file": console.file, "force_terminal": console.is_terminal},
        )
        self.title = title
        self._shown: dict[str, str] = {}
        self._read = self._began = 0.0
        self._first_epoch = 0

    def configure_columns(self, trainer: Trainer) -> list[Any]:
        """Leave out the time of one epoch, and leave room for the metrics."""
        description, bar, batches, *_ = super().configure_columns(trainer)
        bar.bar_width = 20
        return [description, bar, batches]

    def _get_train_description(self, current_epoch: int) -> str:
        return f"{self.title}  epoch {current_epoch + 1}/{self.trainer.max_epochs}"

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar, and start the clock."""
        super().on_train_start(trainer, pl_module)
        self._began, self._first_epoch = monotonic(), trainer.current_epoch

    def get_metrics(
        self, trainer: Trainer, pl_module: LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Mean losses of the running epoch, the last validation, and the time left."""
        assert isinstance(pl_module, DistillationModule)
        now, ended = monotonic(), trainer.is_last_batch
        # Lightning reads the losses in every step, which waits for the device every time.
        if ended or now - self._read >= 1 / REFRESHES_PER_SECOND:
            self._read = now
            self._shown |= in_words({**pl_module.means.row(), **trainer.callback_metrics})
        trained = trainer.current_epoch + ended - self._first_epoch
        to_train = (trainer.max_epochs or 0) - trainer.current_epoch - ended
        if not trained or not to_train:
            return {**self._shown}
        seconds = round((now - self._began) / trained * to_train)
        return {**self._shown, "left": str(timedelta(seconds=seconds))}


def in_words(metrics: Mapping[str, float | Tensor]) -> dict[str, str]:
    """Losses and validation metrics of an epoch, as they are shown.

    >>> in_words({"epoch": 3, "loss": 0.51234, "term/lsp": 1.2e-5, "validation/micro_f1": 0.9})
    {'loss': '0.5123', 'lsp': '1.2e-05', 'validation micro_f1': '0.9000'}
    """
    shown = {}
    for name, value in metrics.items():
        if name.startswith(("loss", "term/", "validation/")):
            number = float(value)
            plain = number == 0 or abs(number) >= 0.001
            label = name.removeprefix("term/").replace("/", " ")
            shown[label] = f"{number:.4f}" if plain else f"{number:.2g}"
    return shown
