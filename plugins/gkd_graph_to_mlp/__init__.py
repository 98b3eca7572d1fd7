"""Losses that bring a graph network's knowledge of neighbours into one without a graph: KRD."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_losses() -> Mapping[str, str]:
    """Offer the loss under the name that the field knows it by."""
    return {"krd": "gkd_graph_to_mlp.krd:KRD"}


__getattr__ = lazy_getattr(__name__, gkd_losses)
