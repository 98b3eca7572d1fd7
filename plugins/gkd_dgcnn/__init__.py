"""Dynamic graph CNNs for point clouds, their edge convolutions without products over edges."""

from collections.abc import Callable, Mapping

from torch import nn

from gkd import hookimpl
from gkd_dgcnn.dgcnn import DGCNN
from gkd_dgcnn.edge_conv_layer import EdgeConv

__all__ = ["DGCNN", "EdgeConv", "gkd_models"]


@hookimpl
def gkd_models() -> Mapping[str, Callable[..., nn.Module]]:
    """Offer the network under the name that the field knows it by."""
    return {"dgcnn": DGCNN}
