"""Whether sampled neighbourhoods and full batches come to the same verdict on tolokers.

    python results/large/tolokers.py DATA/tolokers.npz results/large/tolokers.json

trains the networks of ``tolokers.toml`` twice, with the same seeds and the same teacher: by 90
steps on the whole graph, and by 90 steps of 1,024 seeds with ten neighbours of each node at most,
over two hops. Both are scored on the whole graph.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from gkd.files import write_json

HERE = Path(__file__).parent
STEPS, SEEDS, NEIGHBOURS = 90, 1024, 10
EPOCHS = STEPS // 6  # 5,879 nodes train: five whole batches and a smaller one
SAMPLED = (
    f"training.epochs={EPOCHS}",
    f"training.batch_size={SEEDS}",
    "training.validate_every=1",
    f"training.sampling={{neighbours=[{NEIGHBOURS}, {NEIGHBOURS}]}}",
)


def run(folder: Path, *settings: str) -> dict[str, Any]:
    """Run the recipe in ``folder``, and return its results."""
    options = [part for setting in settings for part in ("--set", setting)]
    command = ["run", str(HERE / "tolokers.toml"), "--out", str(folder), *options]
    subprocess.run([sys.executable, "-m", "gkd", *command], check=True)
    results: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return results


def summary(results: dict[str, Any]) -> dict[str, Any]:
    """Return what is compared of a run."""
    networks = [each for each in results["networks"] if each["network"] == "student"]
    scores = {
        method: [each["test"]["roc_auc"] for each in networks if each["method"] == method]
        for method in dict.fromkeys(each["method"] for each in networks)
    }
    return {
        "test_roc_auc": {
            method: [round(score, 4) for score in found] for method, found in scores.items()
        },
        "outcomes": {each["method"]: each["outcome"] for each in results["comparisons"]},
        "verdicts": [each["verdict"] for each in results["comparisons"]],
    }


def main() -> None:
    """Run both, and write what they found."""
    data, out = Path(sys.argv[1]).absolute(), Path(sys.argv[2])
    place = f"dataset.file={json.dumps(str(data))}"
    commit = ["git", "rev-parse", "--short", "HEAD"]
    with tempfile.TemporaryDirectory() as folder:
        full = run(Path(folder) / "full", place)
        weights = next((Path(folder) / "full").glob("teacher/weights.safetensors"))
        teacher = f"teacher.weights={json.dumps(str(weights))}"
        sampled = run(Path(folder) / "sampled", place, teacher, *SAMPLED)
    found = {"full batch": summary(full), "sampled": summary(sampled)}
    outcomes = [each["outcomes"] for each in found.values()]
    write_json(
        out,
        {
            "command": f"python results/large/{Path(__file__).name} DATA/{data.name} {out}",
            "commit": subprocess.check_output(commit, cwd=HERE, text=True).strip(),
            "same_outcomes": outcomes[0] == outcomes[1],
            **found,
        },
    )


if __name__ == "__main__":
    main()
