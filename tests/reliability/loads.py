"""Batches of a kind or size that small tests do not have, each in a process of its own."""

import multiprocessing
import resource
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from trials import Outcome

import gkd
from gkd.cache.teacher_cache import TeacherCache

_SIZES = {"graphs": 10_000, "in_edges": 10**6, "classes": 1_000}


class Network(nn.Module):
    """Two layers on the features alone."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.hidden, self.out = nn.Linear(8, width), nn.Linear(width, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.hidden(x).relu())


def loads(amount: int, chance: Random, folder: Path) -> Outcome:
    """Try every kind of load ``amount`` times."""
    outcome = Outcome()
    for _ in range(amount):
        for load in (tiny_graphs, hub, many_classes, one_sample):
            found = _apart(load, chance.randrange(2**32))
            outcome.tried += 1
            outcome.broken += found.pop("broken", [])
            outcome.figures |= {f"{load.__name__}_{key}": value for key, value in found.items()}
    return outcome


def tiny_graphs(seed: int) -> dict[str, Any]:
    """10,000 graphs of four nodes in a batch: the teacher cache must not be slower than it."""
    torch.manual_seed(seed)
    ring = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]])
    samples = [
        gkd.Sample(id=str(n), x=torch.randn(4, 8), y=torch.randint(3, (4,)), edge_index=ring)
        for n in range(_SIZES["graphs"])
    ]
    seconds = {}
    for name, cache in (("plain", None), ("cached", TeacherCache())):
        terms = [gkd.Term("lsp", student="hidden", teacher="hidden"), gkd.Term("kd")]
        distiller = gkd.Distiller(
            Network(16), Network(8), terms, task="single-label", inputs=["x"], teacher_cache=cache
        )
        times = []
        for _ in range(6):  # the first fills the cache
            batch, began = gkd.collate(samples), time.process_time()
            distiller(batch).total.backward()
            times.append(time.process_time() - began)
        seconds[f"{name}_seconds"] = round(sorted(times)[2], 3)
    slow = seconds["cached_seconds"] > 5 * seconds["plain_seconds"]
    return {**seconds, "broken": [f"10,000 graphs: {seconds}"] if slow else []}


def hub(seed: int) -> dict[str, Any]:
    """A node with 10^6 in-edges: the value is that of float64, in memory of the size of E."""
    torch.manual_seed(seed)
    edges = _SIZES["in_edges"]
    source = torch.arange(1, edges + 1)
    graph = gkd.Graph(torch.stack([source, torch.zeros_like(source)]), edges + 1)
    student, teacher = torch.randn(edges + 1, 4), torch.randn(edges + 1, 4)
    before, began = _peak(), time.process_time()
    wanted = student.requires_grad_()
    value = gkd.create("loss", "lsp")(
        student=gkd.View(features=wanted, graph=graph),
        teacher=gkd.View(features=teacher, graph=graph),
    )
    value.backward()
    seconds, more = time.process_time() - began, _peak() - before
    logs = [
        (-(z[1:] - z[0]).square().sum(1) / 2).exp().log_softmax(0)
        for z in (student.detach().double(), teacher.double())
    ]
    right = (logs[0].exp() * (logs[0] - logs[1])).sum() / (edges + 1)
    broken, found = [], value.detach().double()
    error = float((found - right).abs() / right)
    if error > 1e-2:  # a million float32 numbers are summed
        broken.append(f"a node of {edges} in-edges: LSP {float(found)}, right is {float(right)}")
    if more > 500:
        broken.append(f"a node of {edges} in-edges takes {more} MiB")
    return {
        "seconds": round(seconds, 2),
        "mebibytes": more,
        "relative_error": round(error, 4),
        "broken": broken,
    }


def many_classes(seed: int) -> dict[str, Any]:
    """1,000 labels of 10,000 rows: metrics take no more than the labels themselves."""
    torch.manual_seed(seed)
    logits = torch.randn(10_000, _SIZES["classes"])
    y = (torch.rand_like(logits) < 0.1).float()
    task = gkd.create("task", "multi-label")
    metrics = task.metrics(_SIZES["classes"])
    metrics.update(logits[:10], y[:10])
    before = _peak()
    metrics.update(logits, y)
    task.check(logits, y)
    more = _peak() - before
    broken = [f"1,000 labels of 10,000 rows take {more} MiB more"] if more > 80 else []
    return {"mebibytes": more, "broken": broken}


def one_sample(seed: int) -> dict[str, Any]:
    """A batch of one graph of one node: every loss has a finite value or says what it lacks."""
    torch.manual_seed(seed)
    sample = gkd.Sample(
        id="one", x=torch.randn(1, 8), y=torch.tensor([1]), edge_index=torch.empty(2, 0).long()
    )
    batch, broken, refused = gkd.collate([sample]), [], 0
    names = gkd.names("loss")
    for name in names:
        try:
            term = gkd.Term(name, student="hidden", teacher="hidden")
            distiller = gkd.Distiller(
                Network(8), Network(8), [term], task="single-label", inputs=["x"]
            ).prepare(batch)
            distiller(batch).total.backward()
            gradients = [p.grad for p in distiller.student.parameters() if p.grad is not None]
            if not all(bool(gradient.isfinite().all()) for gradient in gradients):
                broken.append(f"one node: the gradient of {name} is not finite")
        except gkd.GkdError:
            refused += 1
        except Exception as error:
            broken.append(f"one node: {name}: {type(error).__name__}: {error}")
    return {"losses": len(names), "refused": refused, "broken": broken}


def _peak() -> int:
    """Most memory that this process had at once, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _apart(load: Callable[[int], dict[str, Any]], seed: int) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_answer, args=(load, seed, theirs))
    process.start()
    theirs.close()
    try:
        return ours.recv()
    except EOFError:
        process.join()
        return {"broken": [f"{load.__name__}: the process ended with {process.exitcode}"]}


def _answer(load: Callable[[int], dict[str, Any]], seed: int, parent: Connection) -> None:
    torch.set_num_threads(1)
    parent.send(load(seed))
