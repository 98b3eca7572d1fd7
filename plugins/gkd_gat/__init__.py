"""Graph attention networks on gkd's sparse products."""

from collections.abc import Callable, Mapping

from torch import nn

from gkd import hookimpl
from gkd_gat.gat import GAT
from gkd_gat.gat_layer import GATLayer

__all__ = ["GAT", "GATLayer", "gkd_models"]


@hookimpl
def gkd_models() -> Mapping[str, Callable[..., nn.Module]]:
    """Offer the network under the name that the field knows it by."""
    return {"gat": GAT}
