"""What a loss says that it needs of a view."""

from gkd.distillation.view_source import ViewSource
from gkd.errors import ParameterError
from gkd.loss import AbstractLoss


def declared_uses(loss: AbstractLoss) -> tuple[str, ...] | None:
    """Return what the loss's class says of itself, None where it says nothing.

    A default must not take anything away from a loss.
    """
    kinds = type(loss).__mro__
    declared = any("uses" in vars(kind) for kind in kinds[: kinds.index(AbstractLoss)])
    return tuple(loss.uses) if declared else None


def require_taps_used(loss: AbstractLoss, *views: ViewSource) -> None:
    """Make sure that no tap is named for a loss that does not look at features.

    Raises:
        ParameterError: one is.
    """
    uses = declared_uses(loss)
    taps = [repr(str(view.tap)) for view in views if view.tap is not None]
    if taps and uses is not None and "features" not in uses:
        raise ParameterError(
            f"{' and '.join(dict.fromkeys(taps))}: this loss compares {' and '.join(uses)}, and no "
            "features: name no tap, or take a loss that compares them"
        )
