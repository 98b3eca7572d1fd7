"""Give every reader of gkd damaged files: ``python tests/fuzz --inputs 10000 --seed 7``.

What breaks the law of readers (``reading_law.py``) is written to a folder, with the command that
reads it once more. Put into ``finds/READER/`` beside this file it is a test from then on.
"""

import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path[:0] = [str(HERE), str(HERE.parent)]

from campaign import campaign  # noqa: E402
from readers import READERS  # noqa: E402
from reading_law import Trial  # noqa: E402

from gkd.errors import printable, suggestion  # noqa: E402


def main() -> int:
    """Return 1 where a reader broke the law."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("readers", nargs="*", metavar="READER", help="all when left out")
    parser.add_argument("--inputs", type=int, default=10_000, help="files for each reader")
    parser.add_argument("--seed", type=int, default=None, help="of the damage; by default another")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes at once")
    parser.add_argument("--finds", type=Path, default=Path("fuzz-finds"), help="folder for finds")
    parser.add_argument("--replay", type=Path, help="read this file once more, by one READER")
    parser.add_argument("--list", action="store_true", help="print the names of the readers")
    options = parser.parse_args()
    for name in options.readers:
        if name not in READERS:
            parser.error(f"there is no reader {name!r}: {suggestion(name, READERS)}")
    if options.list:
        print("\n".join(READERS))
        return 0
    if options.replay:
        return _replay(options.readers[0], options.replay)
    seed = random.randrange(2**32) if options.seed is None else options.seed
    names = options.readers or list(READERS)
    print(f"seed {seed}, {options.inputs} inputs, {len(names)} readers", flush=True)
    began, inputs, found = time.monotonic(), 0, 0
    for name, outcome in campaign(names, options.inputs, seed, options.jobs):
        inputs += outcome.inputs
        found += sum(outcome.times.values())
        bad = sum(outcome.times.values())
        print(
            f"{name:24}{outcome.inputs:7} inputs{outcome.read:7} read"
            f"{outcome.inputs - outcome.read - bad:7} refused{bad:6} finds",
            flush=True,
        )
        for key, (find, index, content) in sorted(outcome.finds.items()):
            path = options.finds / name / f"{find.kind}-{find.place.replace(':', '-')}-{index}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            place, what = find.place or "?", printable(find.what)[:400]
            print(f"  {outcome.times[key]} × {find.kind} at {place}: {what}")
            print(f"    python tests/fuzz {name} --replay {path}", flush=True)
    minutes = (time.monotonic() - began) / 60
    print(f"{inputs} inputs in {minutes:.1f} minutes, {found} finds")
    return bool(found)


def _replay(name: str, path: Path) -> int:
    """Read one file without bounds, and let what is raised be seen."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Trial(READERS[name], Path(folder))
        trial.path.write_bytes(path.read_bytes())
        print(trial.reader.read(trial.folder))
        print(trial.judge(path.read_bytes()) or "as it should be")
    return 0


if __name__ == "__main__":
    sys.exit(main())
