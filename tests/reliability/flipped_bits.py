"""One bit of one file of a run flipped, then the run resumed and reported."""

import shutil
from pathlib import Path
from random import Random

from rich.console import Console
from tiny_plugin import RECIPE, TinyPlugin
from trials import Outcome, results

from gkd.errors import GkdError
from gkd.hosting.host import create_host
from gkd.recipe.file import read_recipe
from gkd.report import write_report
from gkd.training.devices import Devices
from gkd.training.recipe_run import open_run

STEPS = 36  # of the tiny recipe with one seed


def flipped_bits(amount: int, chance: Random, folder: Path) -> Outcome:
    """Flip ``amount`` bits, in runs that were finished and in runs that were interrupted."""
    outcome, recipe = Outcome(), folder / "tiny.toml"
    recipe.write_text(RECIPE, encoding="utf-8")
    _train(recipe, folder / "finished", resume=False)
    whole = results(folder / "finished")
    starts = [folder / "finished"]
    for number in range(min(amount, 4)):
        starts.append(folder / f"interrupted-{number}")
        try:
            _train(recipe, starts[-1], resume=False, interrupt_at=chance.randint(2, STEPS - 1))
        except KeyboardInterrupt:
            continue
    while outcome.tried < amount:
        run = Path(shutil.copytree(chance.choice(starts), folder / "run"))
        files = sorted(path for path in run.rglob("*") if path.is_file() and path.stat().st_size)
        path = chance.choice(files)
        content = bytearray(path.read_bytes())
        place, bit = chance.randrange(len(content)), chance.randrange(8)
        content[place] ^= 1 << bit
        path.write_bytes(content)
        outcome.tried += 1
        where = f"{path.relative_to(run)} byte {place} bit {bit}"
        try:
            _train(recipe, run, resume=True)
            write_report(run)
        except GkdError:
            outcome.count("refused")
        except Exception as error:
            outcome.broken.append(f"{where}: {type(error).__name__}: {error}")
        else:
            if results(run) == whole:
                outcome.count("equal_results")
            else:
                outcome.broken.append(f"{where}: other results, without a word")
        shutil.rmtree(run)
    return outcome


def _train(recipe: Path, run: Path, *, resume: bool, interrupt_at: int | None = None) -> None:
    plugin = TinyPlugin()
    plugin.interrupt_at = interrupt_at
    host = create_host(discover=False)
    host.register(plugin)
    file, console = read_recipe(recipe, ["seeds=[0]"]), Console(quiet=True)
    open_run(file, host, Devices("cpu"), console, out=run, resume=resume).train()
