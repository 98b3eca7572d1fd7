"""Weights for the rows of a term: which nodes a student should listen to, one file each."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_weighers() -> Mapping[str, str]:
    """Offer the weighers by what they go by."""
    return {
        "confidence": "gkd_weighers.confidence:Confidence",
        "entropy": "gkd_weighers.entropy:Entropy",
        "degree": "gkd_weighers.degree:Degree",
        "homophily": "gkd_weighers.homophily:Homophily",
    }


__getattr__ = lazy_getattr(__name__, gkd_weighers)
