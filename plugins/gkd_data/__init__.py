"""Datasets: PPI, ModelNet, a folder of one's own objects, and two that are generated."""

from collections.abc import Callable, Mapping

from gkd import AbstractDataset, hookimpl
from gkd_data.communities import Communities
from gkd_data.modelnet import ModelNet40
from gkd_data.objects import Objects
from gkd_data.ppi import PPI
from gkd_data.shapes import Shapes

__all__ = ["PPI", "Communities", "ModelNet40", "Objects", "Shapes"]


@hookimpl
def gkd_datasets() -> Mapping[str, Callable[..., AbstractDataset]]:
    """Offer the datasets of this plugin."""
    return {
        "communities": Communities,
        "modelnet40": ModelNet40,
        "objects": Objects,
        "ppi": PPI,
        "shapes": Shapes,
    }
