"""The classic distillation losses: KD, FitNet, AT (attention transfer) and NST."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_losses() -> Mapping[str, str]:
    """Offer the losses under the names that the field knows them by."""
    return {
        "kd": "gkd_classic.kd:KD",
        "fitnet": "gkd_classic.fitnet:FitNet",
        "at": "gkd_classic.attention_transfer:AttentionTransfer",
        "nst": "gkd_classic.nst:NST",
    }


__getattr__ = lazy_getattr(__name__, gkd_losses)
