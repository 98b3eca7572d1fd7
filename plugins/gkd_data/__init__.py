"""Datasets: the PPI benchmark and a generated family of community graphs."""

from collections.abc import Callable, Mapping

from gkd import AbstractDataset, hookimpl
from gkd_data.communities import Communities
from gkd_data.ppi import PPI

__all__ = ["PPI", "Communities"]


@hookimpl
def gkd_datasets() -> Mapping[str, Callable[..., AbstractDataset]]:
    """Offer the datasets of this plugin."""
    return {"communities": Communities, "ppi": PPI}
