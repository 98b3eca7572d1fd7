"""Losses of logits: DIST and SKD; by the true class, DKD, WSLD and Tf-KD."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_losses() -> Mapping[str, str]:
    """Offer the losses under the names that the field knows them by."""
    return {
        "dist": "gkd_logits.dist:DIST",
        "dkd": "gkd_logits.dkd:DKD",
        "skd": "gkd_logits.skd:SKD",
        "tf-kd": "gkd_logits.tf_kd:TfKD",
        "wsld": "gkd_logits.wsld:WSLD",
    }


__getattr__ = lazy_getattr(__name__, gkd_losses)
