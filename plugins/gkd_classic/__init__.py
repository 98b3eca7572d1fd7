"""The classic distillation losses: KD, FitNet, AT (attention transfer) and NST."""

from collections.abc import Mapping

from gkd import hookimpl


@hookimpl
def gkd_losses() -> Mapping[str, str]:
    """Offer the losses under the names that the field knows them by."""
    return {
        "kd": "gkd_classic.kd:KD",
        "fitnet": "gkd_classic.fitnet:FitNet",
        "at": "gkd_classic.attention_transfer:AttentionTransfer",
        "nst": "gkd_classic.nst:NST",
    }
