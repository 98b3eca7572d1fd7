"""Losses that tell a node's teacher features from those of others: CRD."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_losses() -> Mapping[str, str]:
    """Offer the loss under the name that the field knows it by."""
    return {"crd": "gkd_contrast.crd:CRD"}


__getattr__ = lazy_getattr(__name__, gkd_losses)
