"""What brings a graph network's knowledge into a simpler one.

Losses for students without a graph, GLNN, KRD, NOSMOG and VQGraph, and the student of CPF.
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


@hookimpl
def gkd_models() -> Mapping[str, str]:
    """Offer the student under the name that the field knows it by."""
    return {"cpf": "gkd_graph_to_mlp.cpf:CPF"}


__getattr__ = lazy_getattr(__name__, gkd_losses, gkd_models)
