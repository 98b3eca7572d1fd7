"""Losses of several networks: knowledge amalgamation, FreeKD, MSKD."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_losses() -> Mapping[str, str]:
    """Offer the losses under the names that the field knows them by."""
    return {
        "amalgamation": "gkd_teachers.amalgamation:Amalgamation",
        "freekd": "gkd_teachers.freekd:FreeKD",
        "mskd": "gkd_teachers.mskd:MSKD",
    }


__getattr__ = lazy_getattr(__name__, gkd_losses)
