"""Progress of a run: a bar on a terminal, a line every few seconds elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic

from lightning.pytorch import Callback, LightningModule, Trainer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from gkd.distillation.gradients import gradient_state
from gkd.evaluation.formats import metric_name, metric_value
from gkd.evaluation.metric import Metric
from gkd.training.lightning_module import DistillationModule
from gkd.training.run_plan import Standing, clock

SECONDS_BETWEEN_LINES = 5.0
SECONDS_WITHIN_EPOCH = 30.0
REFRESHES_PER_SECOND = 4
WIDTH = 80  # columns of a line in a file
_BAR = 12


def progress(title: str, console: Console, standing: Standing | None = None) -> Callback:
    """Return the progress of a network that fits the console.

    Args:
        title: of the network.
        console: to show it on.
        standing: of the network in its run.
    """
    return (ProgressBar if console.is_terminal else ProgressLines)(Words(title, standing), console)


@dataclass
class Words:
    """What there is to say of a network that is trained.

    Args:
        title: of the network.
        standing: in its run; None where that is not known.
    """

    title: str
    standing: Standing | None = None
    _began: float = field(default=0.0, init=False)
    _first: float = field(default=0.0, init=False)
    _score: str = field(default="", init=False)

    def begin(self, trainer: Trainer) -> None:
        """Start the clock."""
        self._began, self._first = monotonic(), epochs_done(trainer)

    def head(self, trainer: Trainer) -> str:
        """Which network is trained, and which epoch of it."""
        place = "" if self.standing is None else f"{self.standing} "
        epoch = min(trainer.current_epoch + 1, trainer.max_epochs or 1)
        return f"{place}{self.title}  epoch {epoch}/{trainer.max_epochs}"

    def values(self, trainer: Trainer, module: DistillationModule) -> list[str]:
        """Return losses of the running epoch, and the last score in validation, that one first.

        Reading losses waits for the device.
        """
        main = module.scores.main
        if (score := trainer.callback_metrics.get(f"validation/{main.name}")) is not None:
            self._score = score_in_words(main, float(score))
        losses = module.means.row() if module.means.steps else {}
        return [*filter(None, [self._score]), *losses_in_words(losses)]

    def time(self, trainer: Trainer) -> str:
        """Return how long this network, and the run, may still take; nothing in its beginning."""
        done, epochs = epochs_done(trainer), trainer.max_epochs or 0
        if done <= self._first:
            return ""
        per_epoch = (monotonic() - self._began) / (done - self._first)
        own = max(0.0, epochs - done) * per_epoch
        words = [f"{clock(own)} left"] if done < epochs else []
        if self.standing is not None and self.standing.plan.waiting:
            others = self.standing.seconds_of_others(per_epoch)
            words += [f"run ~{clock(own + others)}"] if others else []
        return ", ".join(words)


class ProgressLines(Callback):
    """Prints lines: after an epoch at most every few seconds, after the last epoch always.

    A bar would fill a log file with control characters.
    """

    def __init__(self, words: Words, console: Console) -> None:
        self.words = words
        self.console = console
        self._began, self._printed = 0.0, -SECONDS_BETWEEN_LINES

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start the clock."""
        self._began = monotonic()
        self.words.begin(trainer)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Print how far a long epoch is."""
        silent = monotonic() - max(self._printed, self._began)
        if not trainer.is_last_batch and silent >= SECONDS_WITHIN_EPOCH:
            share = (batch_idx + 1) / trainer.num_training_batches
            self._print(trainer, pl_module, f" {share:.0%}".replace("%", " %"))

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Print the epoch's line if it is time to."""
        last = trainer.current_epoch + 1 == trainer.max_epochs
        if last or monotonic() - self._printed >= SECONDS_BETWEEN_LINES:
            self._print(trainer, pl_module)

    def _print(self, trainer: Trainer, module: LightningModule, within: str = "") -> None:
        assert isinstance(module, DistillationModule)
        self._printed = monotonic()
        head, values = self.words.head(trainer), self.words.values(trainer, module)
        line = fitted(f"{head}{within}", values, self.words.time(trainer), WIDTH)
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)


class ProgressBar(Callback):
    """Shows a bar over the steps of the epoch, in one line; a line remains of the network.

    Args:
        words: what to say.
        console: a terminal.
    """

    def __init__(self, words: Words, console: Console) -> None:
        self.words = words
        self.console = console
        self._bar: Progress | None = None
        self._task = TaskID(0)
        self._read = 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Show the bar, and start the clock."""
        self.words.begin(trainer)
        if not trainer.is_global_zero:
            return
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(_BAR),
            TextColumn("{task.fields[after]}", markup=False),
            console=self.console,
            refresh_per_second=REFRESHES_PER_SECOND,
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task(self.words.head(trainer), after="", total=None)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: object,
        batch: object,
        batch_idx: int,
    ) -> None:
        """Move the bar a few times per second: losses are read then, which waits for the device."""
        now = monotonic()
        if self._bar is None or (
            not trainer.is_last_batch and now - self._read < 1 / REFRESHES_PER_SECOND
        ):
            return
        self._read = now
        assert isinstance(pl_module, DistillationModule)
        head, room = self.words.head(trainer), self.console.width - _BAR - 2
        values = self.words.values(trainer, pl_module)
        whole = fitted(head, values, self.words.time(trainer), room)
        before = whole if len(whole) < len(head) else head
        self._bar.update(
            self._task,
            description=before,
            after=whole[len(before) :].strip(),
            completed=batch_idx + 1,
            total=float(trainer.num_training_batches),
        )

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave a line in place of the bar."""
        if self._bar is None:
            return
        assert isinstance(pl_module, DistillationModule)
        self._stop()
        head, values = self.words.head(trainer), self.words.values(trainer, pl_module)
        line = fitted(head, values, self.words.time(trainer), self.console.width)
        self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def on_exception(
        self, trainer: Trainer, pl_module: LightningModule, exception: BaseException
    ) -> None:
        """Take the bar away."""
        self._stop()

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = None


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


def epochs_done(trainer: Trainer) -> float:
    """Return how many epochs are trained, the running one in part."""
    steps = trainer.num_training_batches
    done = trainer.fit_loop.epoch_loop.batch_progress.current.completed
    share = done / steps if steps else 0.0
    # Between two epochs the one that has ended is still counted as running.
    return min(trainer.current_epoch + min(share, 1.0), float(trainer.max_epochs or 0))


def fitted(head: str, values: Sequence[str], tail: str, width: int) -> str:
    """Return a line of so many columns at most, without the last values where there is no room.

    >>> fitted("kd  epoch 3/9", ["accuracy 87.50 %", "loss 0.5"], "1:20 left", 50)
    'kd  epoch 3/9  accuracy 87.50 %  1:20 left'
    """
    for count in range(len(values), -1, -1):
        line = "  ".join(filter(None, [head, *values[:count], tail]))
        if len(line) <= width:
            return line
    return head if len(head) <= width else f"{head[: width - 1]}…"


def score_in_words(metric: Metric, value: float) -> str:
    """Return a score as tables write it.

    >>> score_in_words(Metric("micro_f1"), 0.9)
    'micro F1 90.00 %'
    """
    unit = " %" if metric.share else ""
    return f"{metric_name(metric.name)} {metric_value(metric, value)}{unit}"


def losses_in_words(row: Mapping[str, float]) -> list[str]:
    """Return the losses of an epoch as they are shown.

    >>> losses_in_words({"epoch": 3, "loss": 0.51234, "term/lsp": 1.2e-5})
    ['loss 0.5123', 'lsp 1.2e-05']
    """
    shown = []
    for name, number in row.items():
        if name == "loss" or name.startswith("term/"):
            plain = number == 0 or abs(number) >= 0.001
            label = name.removeprefix("term/")
            shown.append(f"{label} {number:.4f}" if plain else f"{label} {number:.2g}")
    return shown
