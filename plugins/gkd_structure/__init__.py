"""Losses that go by the edges: what a node takes from its neighbours, and how they differ."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_losses() -> Mapping[str, str]:
    """Offer the losses under the names that the field knows them by."""
    return {
        "ff-g2m-high": "gkd_structure.ff_g2m_high:FFG2MHigh",
        "ff-g2m-low": "gkd_structure.ff_g2m_low:FFG2MLow",
        "heat-kernel": "gkd_structure.heat_kernel:HeatKernel",
        "hgmd": "gkd_structure.hgmd:HGMD",
        "learned-heat-kernel": "gkd_structure.learned_heat_kernel:LearnedHeatKernel",
    }


__getattr__ = lazy_getattr(__name__, gkd_losses)
