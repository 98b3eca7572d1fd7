"""Losses of several layers of a network: FSP and ReviewKD."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_losses() -> Mapping[str, str]:
    """Offer the losses under the names that the field knows them by."""
    return {"fsp": "gkd_layers.fsp:FSP", "reviewkd": "gkd_layers.reviewkd:ReviewKD"}


__getattr__ = lazy_getattr(__name__, gkd_losses)
