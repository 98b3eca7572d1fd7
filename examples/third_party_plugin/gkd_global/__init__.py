"""Losses that distil how a network places all nodes of a batch, not neighbours alone.

Joshi, Liu, Xun, Lin, Foo, On Representation Knowledge Distillation for Graph Neural Networks,
TNNLS 2022, https://arxiv.org/abs/2111.04964.
"""

from collections.abc import Callable, Mapping

from gkd import AbstractLoss, hookimpl
from gkd_global.gcrd import GCRD
from gkd_global.gsp import GSP

__all__ = ["GCRD", "GSP", "gkd_losses"]


@hookimpl
def gkd_losses() -> Mapping[str, Callable[..., AbstractLoss]]:
    """Offer the losses under the names that their paper gives them."""
    return {"gcrd": GCRD, "gsp": GSP}
