"""Train by sampled neighbourhoods on a generated graph of 10^6 nodes, and say what memory it took.

    python results/large/million.py --out results/large/million.json
    python results/large/million.py --teacher gat --out results/large/million-gat.json

writes the graph (1,000,000 nodes, 10,000,000 directed edges, 64 features, 10 classes) as a file of
the dataset ``nodes``, runs a recipe on it by ``gkd run``, and notes the peak of the resident memory
of that process, its time, and the scores on the whole graph. The teacher is a GraphSAGE, or a GAT
of torch_geometric, whose layers make a message of 128 channels for every edge: 4.8 GiB in float32,
of which they hold several at once; it works on a quarter of a million edges at a time.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from gkd.files import write_json

NODES, LINKS, FEATURES, CLASSES, TRAINED = 10**6, 5 * 10**6, 64, 10, 50_000

TEACHERS = {
    "sage": 'name = "sage"\nparams = { hidden_channels = 128, num_layers = 2 }',
    "gat": """name = "pyg"
params = { model = "GAT", hidden_channels = 128, num_layers = 2 }
edges_per_pass = 250_000""",
}
HIDDEN = {"sage": "layers.0", "gat": "convs.0"}

RECIPE = """
title = "a million nodes"
dataset = { name = "nodes", file = "graph.npz" }
student = { name = "sage", params = { hidden_channels = 32, num_layers = 2 } }

[teacher]
{teacher}
cache_folder = "teacher-outputs"
cache_half = true

[teacher.training]
epochs = 2
batch_size = 1024
learning_rate = 0.01
sampling = { neighbours = [10, 5] }

[training]
epochs = 2
batch_size = 1024
learning_rate = 0.01
sampling = { neighbours = [10, 5] }

[[methods]]
name = "kd-lsp"
terms = [{ loss = "kd" }, { loss = "lsp", student = "layers.0", teacher = "{hidden}" }]
"""


def write_graph(path: Path) -> None:
    """Write a graph whose links join nodes of one class nine times out of ten."""
    random = np.random.default_rng(0)
    labels = random.integers(CLASSES, size=NODES)
    source = random.integers(NODES, size=LINKS)
    members = [np.flatnonzero(labels == label) for label in range(CLASSES)]
    target = random.integers(NODES, size=LINKS)
    alike = random.random(LINKS) < 0.9
    for label, nodes in enumerate(members):
        place = np.flatnonzero(alike & (labels[source] == label))
        target[place] = random.choice(nodes, len(place))
    centres = random.standard_normal((CLASSES, FEATURES), dtype=np.float32) / 8
    features = random.standard_normal((NODES, FEATURES), dtype=np.float32)
    features += centres[labels]
    part = random.permutation(NODES)
    masks = {"train": part < TRAINED, "val": (part >= TRAINED) & (part < 2 * TRAINED)}
    masks["test"] = part >= 2 * TRAINED
    np.savez(
        path,
        node_features=features,
        node_labels=labels,
        edges=np.stack([source, target], axis=1),
        **{f"{name}_masks": mask[None] for name, mask in masks.items()},
    )


def main() -> None:
    """Measure, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--teacher", choices=TEACHERS, default="sage")
    parsed = parser.parse_args()
    out, threads, name = parsed.out.absolute(), parsed.threads, parsed.teacher
    recipe = RECIPE.replace("{teacher}", TEACHERS[name]).replace("{hidden}", HIDDEN[name])
    with tempfile.TemporaryDirectory() as folder:
        write_graph(Path(folder) / "graph.npz")
        (Path(folder) / "million.toml").write_text(recipe)
        commit, here = ["git", "rev-parse", "--short", "HEAD"], Path(__file__).parent
        begin = time.monotonic()
        command = ["run", "million.toml", "--out", "run", "--threads", str(threads)]
        process = subprocess.Popen([sys.executable, "-m", "gkd", *command], cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            raise SystemExit(f"gkd run ended with status {os.waitstatus_to_exitcode(status)}")
        networks = {
            str(path.parent.relative_to(Path(folder) / "run")): json.loads(path.read_text())
            for path in sorted((Path(folder) / "run").rglob("summary.json"))
        }
        write_json(
            out,
            {
                "command": f"python results/large/million.py --teacher {name} "
                f"--out results/large/{out.name}",
                "commit": subprocess.check_output(commit, cwd=here, text=True).strip(),
                "nodes": NODES,
                "directed_edges": 2 * LINKS,
                "threads": threads,
                "peak_resident_gibibytes": round(usage.ru_maxrss / 2**20, 2),
                "seconds": round(time.monotonic() - begin),
                "cpu_seconds": round(usage.ru_utime + usage.ru_stime),
                "test_accuracy": {
                    name: round(each["test"]["accuracy"], 4) for name, each in networks.items()
                },
            },
        )


if __name__ == "__main__":
    main()
