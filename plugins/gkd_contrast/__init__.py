"""Losses that tell a node's teacher features from those of others: CRD, G-CRD."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_losses() -> Mapping[str, str]:
    """Offer the losses under the names that the field knows them by."""
    return {"crd": "gkd_contrast.crd:CRD", "gcrd": "gkd_contrast.gcrd:GCRD"}


__getattr__ = lazy_getattr(__name__, gkd_losses)
