"""The field's plain networks: a perceptron, and one neighbour sum per layer in the others."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_models() -> Mapping[str, str]:
    """Offer the networks under the names that the field knows them by."""
    return {
        "mlp": "gkd_gnn.mlp:MLP",
        "gcn": "gkd_gnn.gcn:GCN",
        "sage": "gkd_gnn.sage:SAGE",
        "gin": "gkd_gnn.gin:GIN",
    }


__getattr__ = lazy_getattr(__name__, gkd_models)
