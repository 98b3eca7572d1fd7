"""Try to make gkd lose or lie: ``python tests/reliability --scale 0.05 --seed 7``.

Every check tries one promise of ``docs/reliability.md`` many times, with what chance chooses. The
figures go to a JSON file, with the commit, the machine and the seed, and to a table.
"""

import argparse
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).resolve().parent
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:0] = [str(HERE), str(HERE.parent)]

from checks import CHECKS, Outcome  # noqa: E402

from gkd.errors import suggestion  # noqa: E402
from gkd.files import write_json  # noqa: E402


def main() -> int:
    """Return 1 where a promise was broken."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("checks", nargs="*", metavar="CHECK", help="all when left out")
    parser.add_argument("--scale", type=float, default=1.0, help="of how often each is tried")
    parser.add_argument("--seed", type=int, default=None, help="of chance; by default another")
    parser.add_argument("--out", type=Path, default=Path("reliability.json"), help="figures")
    parser.add_argument("--list", action="store_true", help="print the names of the checks")
    options = parser.parse_args()
    for name in options.checks:
        if name not in CHECKS:
            parser.error(f"there is no check {name!r}: {suggestion(name, CHECKS)}")
    if options.list:
        print("\n".join(f"{name:20}{check.promise}" for name, check in CHECKS.items()))
        return 0
    seed = random.randrange(2**32) if options.seed is None else options.seed
    figures = {
        "command": f"python tests/reliability {' '.join(sys.argv[1:])}".strip(),
        "commit": _commit(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "python": platform.python_version(),
        "seed": seed,
        "checks": {},
    }
    kept = 0
    for name in options.checks or CHECKS:
        check, began = CHECKS[name], time.monotonic()
        amount = max(1, round(check.amount * options.scale))
        with tempfile.TemporaryDirectory(prefix=f"gkd-{name}-") as folder:
            outcome: Outcome = check.run(amount, random.Random(f"{seed} {name}"), Path(folder))
        seconds = time.monotonic() - began
        figures["checks"][name] = {
            "promise": check.promise,
            "tried": outcome.tried,
            "broken": len(outcome.broken),
            "seconds": round(seconds),
            **outcome.figures,
        }
        write_json(options.out, figures)  # after each: the whole takes hours
        kept += not outcome.broken
        told = ", ".join(f"{key} {value}" for key, value in outcome.figures.items())
        counts = f"{outcome.tried:8} tried{len(outcome.broken):6} broken"
        print(f"{name:20}{counts}{seconds:8.0f} s  {told}")
        for what in outcome.broken[:20]:
            print(f"  {what}")
        sys.stdout.flush()
    print(f"{kept} of {len(figures['checks'])} promises kept; seed {seed}; {options.out}")
    return int(kept < len(figures["checks"]))


def _commit() -> str:
    found = subprocess.run(
        ["git", "-C", str(HERE), "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main())
