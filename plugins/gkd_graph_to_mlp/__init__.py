"""Losses that bring a graph network's knowledge into one without a graph.

GLNN, KRD, NOSMOG, VQGraph.
"""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_losses() -> Mapping[str, str]:
    """Offer the losses under the names that the field knows them by."""
    return {
        "glnn": "gkd_graph_to_mlp.glnn:GLNN",
        "krd": "gkd_graph_to_mlp.krd:KRD",
        "nosmog": "gkd_graph_to_mlp.nosmog:NOSMOG",
        "vqgraph": "gkd_graph_to_mlp.vqgraph:VQGraph",
    }


__getattr__ = lazy_getattr(__name__, gkd_losses)
