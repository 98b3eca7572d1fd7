"""Graph attention networks on gkd's sparse products."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_models() -> Mapping[str, str]:
    """Offer the network under the name that the field knows it by."""
    return {"gat": "gkd_gat.gat:GAT"}


__getattr__ = lazy_getattr(__name__, gkd_models)
