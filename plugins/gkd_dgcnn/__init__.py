"""Dynamic graph CNNs for point clouds, their edge convolutions without products over edges."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_models() -> Mapping[str, str]:
    """Offer the network under the name that the field knows it by."""
    return {"dgcnn": "gkd_dgcnn.dgcnn:DGCNN"}


__getattr__ = lazy_getattr(__name__, gkd_models)
