"""How much faster a GAT layer is than torch_geometric's GATConv with the same weights.

Measures forward + backward, gradients of the input included, on the layers of the paper's
student and teacher, both in one process and alternating; how far both are from float64; and how
much memory both keep for the backward pass. Run ``python benchmarks/gat.py [--ppi ROOT]``.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

import gkd
from gkd_gat import GATLayer

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from torch_geometric.nn import GATConv

NUM_NODES, NUM_EDGES = 4744, 132_114  # two training graphs of PPI
LAYERS = {"student": (136, 68, 2), "teacher": (1024, 256, 4)}  # in_channels, out_channels, heads
WARM_UP = 2

Forward = Callable[[Tensor], Tensor]


def random_edges() -> Tensor:
    """Draw a directed graph without repeated edges."""
    numbers = torch.randperm(NUM_NODES**2)[:NUM_EDGES]
    return torch.stack([numbers % NUM_NODES, numbers // NUM_NODES])


def ppi_edges(root: str, samples: list[int]) -> tuple[Tensor, int]:
    dataset = gkd.create("dataset", "ppi", root=root, download=False)
    batch = gkd.collate([dataset.train[index] for index in samples])
    return batch.edge_index, batch.num_nodes


def step(
    forward: Forward, x: Tensor, cotangent: Tensor, weights: list[nn.Parameter]
) -> list[Tensor]:
    """Return the output and all gradients of one forward and backward pass."""
    x = x.detach().requires_grad_()
    out = forward(x)
    return [out.detach(), *torch.autograd.grad(out, [x, *weights], cotangent)]


def kept_megabytes(forward: Forward, x: Tensor, weights: list[nn.Parameter]) -> float:
    """Memory that autograd keeps for the backward pass, beyond the input and the weights."""
    storages: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    x = x.detach().requires_grad_()
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        out = forward(x)
    for given in [x, *weights]:
        storages.pop(given.untyped_storage().data_ptr(), None)
    del out
    return sum(storages.values()) / 1e6


def pair(
    sizes: tuple[int, int, int], edges: Tensor, dtype: torch.dtype
) -> dict[str, tuple[Forward, list[nn.Parameter]]]:
    """Both layers with the same weights, drawn anew from the same seed."""
    torch.manual_seed(0)
    in_channels, out_channels, heads = sizes
    layer = GATLayer(in_channels, out_channels, heads).to(dtype)
    conv = GATConv(in_channels, out_channels, heads, bias=False).to(dtype)
    conv.load_state_dict(layer.state_dict())

    def forward(x: Tensor) -> Tensor:
        return layer(x, gkd.Graph.of(edges, len(x)).with_self_loops())

    def weights(module: nn.Module) -> list[nn.Parameter]:
        return [module.lin.weight, module.att_src, module.att_dst]

    return {
        "torch_geometric": (lambda x: conv(x, edges), weights(conv)),
        "gkd": (forward, weights(layer)),
    }


def relative_error(results: list[Tensor], exact: list[Tensor]) -> float:
    """Largest relative error, in norm, of the output and the gradients."""
    return max(
        float((result.double() - expected).norm() / expected.norm())
        for result, expected in zip(results, exact, strict=True)
    )


def measure(name: str, edges: Tensor, num_nodes: int, repeats: int) -> None:
    in_channels, out_channels, heads = sizes = LAYERS[name]
    # With seed 0 one score lies within rounding of LeakyReLU's kink, which only shows luck.
    torch.manual_seed(1)
    x, cotangent = torch.randn(num_nodes, in_channels), torch.randn(num_nodes, out_channels * heads)
    forward, weights = pair(sizes, edges, torch.float64)["torch_geometric"]
    exact = step(forward, x.double(), cotangent.double(), weights)
    candidates = pair(sizes, edges, torch.float32)
    seconds: dict[str, list[float]] = {candidate: [] for candidate in candidates}
    for _ in range(repeats + WARM_UP):
        for candidate, (forward, weights) in candidates.items():  # both see the same machine
            start = time.perf_counter()
            step(forward, x, cotangent, weights)
            seconds[candidate].append(time.perf_counter() - start)
    print(f"\n{name}: {heads} heads x {out_channels} on {in_channels} channels")
    theirs = seconds["torch_geometric"][WARM_UP:]
    for candidate, (forward, weights) in candidates.items():
        ours = seconds[candidate][WARM_UP:]
        ratios = [a / b for a, b in zip(theirs, ours, strict=True)]
        low, median, high = (np.quantile(ratios, q) for q in (0.1, 0.5, 0.9))
        error = relative_error(step(forward, x, cotangent, weights), exact)
        print(
            f"{candidate:16} {1e3 * statistics.median(ours):8.1f} ms   "
            f"{median:5.1f}x ({low:.1f} to {high:.1f})   error {error:.1e}   "
            f"keeps {kept_megabytes(forward, x, weights):6.1f} MB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ppi", metavar="ROOT", help="ppi.zip; a random graph without it")
    parser.add_argument("--samples", type=int, nargs="+", default=[3, 10], help="training graphs")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    if arguments.ppi:
        edges, num_nodes = ppi_edges(arguments.ppi, arguments.samples)
    else:
        edges, num_nodes = random_edges(), NUM_NODES
    graph = gkd.Graph.of(edges, num_nodes)
    print(f"{graph}, {torch.get_num_threads()} threads, torch {torch.__version__}, float32")
    print("ratios: median (10 % to 90 % quantile); error: largest relative one, against float64")
    for name in LAYERS:
        measure(name, edges, num_nodes, arguments.repeats)


if __name__ == "__main__":
    main()
