"""Distances of the features of a network to those of one node."""

import torch
from torch import Tensor, nn

from gkd.data import Sample, collate
from gkd.data.batch_nodes import BatchNodes
from gkd.distillation.inputs import Inputs, NetworkInputs
from gkd.distillation.layout import Layout, LayoutChoice
from gkd.distillation.modes import evaluation_mode
from gkd.distillation.network_outputs import NetworkTaps, network_outputs
from gkd.distillation.tapped_rows import tapped_rows
from gkd.distillation.taps import Tap, require_tap
from gkd.errors import DataError, TapError
from gkd.functional.network_input import device_of


@torch.no_grad()
def feature_distances(
    network: nn.Module,
    sample: Sample,
    inputs: Inputs,
    tap: str,
    node: int,
    layout: LayoutChoice | None = None,
) -> Tensor:
    r"""Distances of all nodes' features to those of one node, as figure 4 of the paper shows them.

    .. math:: d_i = \|z_i - z_{\text{node}}\|

    Args:
        network: runs in evaluation mode, on its device; its mode is restored.
        sample: of ``num_nodes`` nodes.
        inputs: what the network is called with, as :class:`gkd.Distiller` takes it.
        tap: where the features are.
        node: the marked node.
        layout: what their axes are, as :class:`gkd.Term` takes it.

    Returns:
        float64 ``[N]`` on the CPU.

    Raises:
        DataError: the sample has no such node.
        TapError: the tap does not exist, or does not yield features of every node.

    Source: Yang et al., CVPR 2020, figure 4.

    >>> sample = Sample(id="a", x=torch.tensor([[0.0], [3.0]]), y=torch.tensor([0, 1]))
    >>> feature_distances(nn.Sequential(nn.Identity()), sample, ["x"], "0", node=1)
    tensor([3., 0.], dtype=torch.float64)
    """
    count = sample.num_nodes
    if not 0 <= node < count:
        raise DataError(f"sample {sample.id!r} has nodes 0 to {count - 1}, not {node}")
    place = Tap.parse(tap)
    require_tap(network, place, "network")
    batch = collate([sample]).to(device_of(network))
    taps = NetworkTaps("network", features=[place], partial=True)
    arguments = NetworkInputs(inputs, network, "network").arguments(batch)
    with evaluation_mode(network):
        outputs = network_outputs(network, arguments, taps)
    axes = None if layout is None else Layout.parse(layout)
    rows, _ = tapped_rows(outputs.features[place], BatchNodes(batch), axes, f"tap {tap!r}")
    features = rows.double().cpu()
    if len(features) != count:
        raise TapError(
            f"tap {tap!r} yields {len(features)} rows for a sample of {count} nodes; "
            "expected one row per node"
        )
    distances: Tensor = torch.linalg.vector_norm(features - features[node], dim=1)
    return distances
