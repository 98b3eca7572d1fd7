"""Losses of logits that go by the true class: DKD and WSLD."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_losses() -> Mapping[str, str]:
    """Offer the losses under the names that the field knows them by."""
    return {"dkd": "gkd_logits.dkd:DKD", "wsld": "gkd_logits.wsld:WSLD"}


__getattr__ = lazy_getattr(__name__, gkd_losses)
