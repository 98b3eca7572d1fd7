"""Losses of networks that predict links: LLP, by distributions and by ranks."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_losses() -> Mapping[str, str]:
    """Offer the losses under the names that the field knows them by."""
    return {"llp-d": "gkd_links.llp_d:LLPD", "llp-r": "gkd_links.llp_r:LLPR"}


__getattr__ = lazy_getattr(__name__, gkd_losses)
