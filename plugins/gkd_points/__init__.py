"""Losses of point clouds: PointDistiller."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_losses() -> Mapping[str, str]:
    """Offer the loss under the name that the field knows it by."""
    return {"pointdistiller": "gkd_points.pointdistiller:PointDistiller"}


__getattr__ = lazy_getattr(__name__, gkd_losses)
