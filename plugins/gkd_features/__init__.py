"""Losses of the features of a layer, by node or channel: AB, CC, CWD, FT, MGD, PKD, SRD, VID."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_losses() -> Mapping[str, str]:
    """Offer the losses under the names that the field knows them by."""
    return {
        "ab": "gkd_features.ab:AB",
        "cc": "gkd_features.cc:CC",
        "cwd": "gkd_features.cwd:CWD",
        "ft": "gkd_features.ft:FT",
        "mgd": "gkd_features.mgd:MGD",
        "pkd": "gkd_features.pkd:PKD",
        "srd": "gkd_features.srd:SRD",
        "vid": "gkd_features.vid:VID",
    }


__getattr__ = lazy_getattr(__name__, gkd_losses)
