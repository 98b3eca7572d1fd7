"""What ``gkd sweep`` does."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gkd.commands.output import dispensable_output
from gkd.commands.resumption import resumable
from gkd.errors import ParameterError
from gkd.recipe.file import read_recipe
from gkd.sweep.sweep_directory import SweepDirectory
from gkd.training.ranks import by_torchrun
from gkd.training.resumed_recipe import recipe_to_resume


@dataclass(frozen=True)
class SweepOptions:
    """Options of ``gkd sweep``.

    Args:
        space: ``KEY=DOMAIN`` over the recipe's own of what to try.
        trials: of each method, instead of the recipe's.
        settings: ``KEY=VALUE`` over the recipe's own values.
        out: folder of the sweep.
        resume: go on with the sweep in ``out``, or with the newest of this recipe.
        storage: URL of the database that keeps the trials.
        device: ``auto``, ``cpu``, ``cuda`` or ``mps``.
        threads: of torch; None for as many as it takes by itself.
        jobs: how many trials to train at once.
    """

    space: Sequence[str] | None = None
    trials: int | None = None
    settings: Sequence[str] | None = None
    out: Path | None = None
    resume: bool = False
    storage: str | None = None
    device: str = "auto"
    threads: int | None = None
    jobs: int = 1


@dispensable_output()
def sweep_recipe(recipe: str, options: SweepOptions) -> None:
    """Search the settings of a recipe's methods, write the report and the best recipe.

    Raises:
        GkdError: something about the recipe, the space, the data or the options is wrong.
        typer.Exit: interrupted by Ctrl-C, SIGTERM or SIGHUP; how to resume has been printed.
    """
    trials = [] if options.trials is None else [f"sweep.trials={options.trials}"]
    settings, space = [*(options.settings or ()), *trials], options.space or ()
    if options.resume:
        file = recipe_to_resume(recipe, settings, options.out, space, SweepDirectory)
    else:
        file = read_recipe(recipe, settings, space)
    if by_torchrun():
        raise ParameterError(
            "gkd sweep: torchrun lets processes train one network together, and a sweep has many; "
            "--jobs, or further `gkd sweep … --resume`, share them out"
        )
    if importlib.util.find_spec("optuna") is None:
        raise ParameterError("gkd sweep needs Optuna: pip install 'gkd[sweep]' installs it")
    # Torch and Lightning take seconds to load: a mistake in the recipe is reported before.
    from gkd.hosting.host import create_host

    host = create_host().with_code(file.code)
    file.check_components(host)

    from rich.console import Console

    from gkd.sweep.space import spaces
    from gkd.sweep.sweep_report import print_outcome, write_outcome
    from gkd.sweep.sweep_run import open_sweep
    from gkd.training.devices import Devices
    from gkd.training.executors import executor_for

    spaces(file, host)
    if options.threads is not None:
        import torch

        torch.set_num_threads(options.threads)
    devices = Devices.of(options.device)
    sweep = open_sweep(
        file,
        host,
        devices,
        Console(),
        executor_for(devices, options.jobs, threads=options.threads),
        out=options.out,
        resume=options.resume,
        storage=options.storage,
    )
    named, resumed = options.out is not None, options.resume
    with resumable(sweep.directory, named=named, resumed=resumed):
        outcome = sweep.search()
        write_outcome(outcome, sweep.directory.folder)
        print_outcome(outcome, sweep.directory.folder)
    for one in outcome.methods:
        if one.finished and one.best is None:
            raise ParameterError(
                f"{one.method}: none of {one.budget} trials could be trained to its end; "
                f"the first: {one.trials[0].error}"
            )
