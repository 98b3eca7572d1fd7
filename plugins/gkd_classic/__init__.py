"""The classic distillation losses: KD, FitNet, AT (attention transfer) and NST."""

from collections.abc import Callable, Mapping

from gkd import AbstractLoss, hookimpl
from gkd_classic.attention_transfer import AttentionTransfer
from gkd_classic.fitnet import FitNet
from gkd_classic.kd import KD
from gkd_classic.nst import NST

__all__ = ["KD", "NST", "AttentionTransfer", "FitNet", "gkd_losses"]


@hookimpl
def gkd_losses() -> Mapping[str, Callable[..., AbstractLoss]]:
    """Offer the losses under the names that the field knows them by."""
    return {"kd": KD, "fitnet": FitNet, "at": AttentionTransfer, "nst": NST}
