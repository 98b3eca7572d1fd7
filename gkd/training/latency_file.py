"""The time that the networks of a run take to answer, measured once all of them are trained."""

from dataclasses import asdict

import torch
from torch import nn

from gkd.evaluation.latency import latencies
from gkd.files import write_sealed_json
from gkd.training.model_record import ModelRecord
from gkd.training.networks import Networks
from gkd.training.precision import autocast
from gkd.training.run_directory import WEIGHTS
from gkd.training.weights import load_weights

LATENCY = "latency.json"
"""Name of the file in a run's folder."""


def measure_latency(networks: Networks) -> None:
    """Write how long each network takes to answer, those of one seed beside each other.

    Networks of one component with the same parameters, whatever they were trained by, are one
    network here: they are measured once. Nothing is done where the file is there already.

    Raises:
        DataError: weights are damaged.
    """
    path = networks.directory.folder / LATENCY
    if path.is_file():
        return
    found: dict[str, nn.Module] = {}
    users: dict[str, list[str]] = {}
    seed = networks.file.recipe.seeds[0]
    shared = networks.experiment.for_seed(seed)
    device = networks.devices.torch_device
    for job in networks.jobs:
        if job.seed not in (None, seed):
            continue
        method = None if job.method is None else networks.method(job.method)
        network = shared.teacher() if method is None else shared.student(seed, method)
        key = _key(shared.record(network))
        users.setdefault(key, []).append(networks.identity(job).method)
        if key not in found:
            load_weights(network, networks.folder(job) / WEIGHTS)
            found[key] = network.to(device)
    recipe = networks.file.recipe
    measured = latencies(
        found,
        shared.dataset.test,
        shared.dataset.inputs,
        precision=lambda: autocast(recipe.precision, device.type),
    )
    content = {
        "threads": torch.get_num_threads(),
        "networks": [
            {
                "methods": users[key],
                "requests": {kind: asdict(one) for kind, one in measured[key].items()},
            }
            for key in found
        ],
    }
    write_sealed_json(path, content)


def _key(record: ModelRecord) -> str:
    return record.model_dump_json(include={"model", "params", "inputs", "logits", "edges_per_pass"})
