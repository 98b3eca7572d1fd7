"""Dynamic graph CNNs for point clouds, their edge convolutions without products over edges."""

from collections.abc import Callable, Mapping

from torch import nn

from gkd import hookimpl
from gkd_dgcnn.layer import EdgeConv
from gkd_dgcnn.network import DGCNN

__all__ = ["DGCNN", "EdgeConv", "gkd_models"]


@hookimpl
def gkd_models() -> Mapping[str, Callable[..., nn.Module]]:
    """Offer the network under the name that the field knows it by."""
    return {"dgcnn": DGCNN}
