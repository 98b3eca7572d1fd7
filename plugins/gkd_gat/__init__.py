"""Graph attention networks on gkd's sparse products."""

from collections.abc import Callable, Mapping

from torch import nn

from gkd import hookimpl
from gkd_gat.layer import GATLayer
from gkd_gat.network import GAT

__all__ = ["GAT", "GATLayer", "gkd_models"]


@hookimpl
def gkd_models() -> Mapping[str, Callable[..., nn.Module]]:
    """Offer the network under the name that the field knows it by."""
    return {"gat": GAT}
