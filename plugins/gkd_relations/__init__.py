"""Losses that compare how nodes relate to all others: RKD, SP, PKT, GSP and DarkRank."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_losses() -> Mapping[str, str]:
    """Offer the losses under the names that the field knows them by."""
    return {
        "darkrank": "gkd_relations.darkrank:DarkRank",
        "gsp": "gkd_relations.gsp:GSP",
        "pkt": "gkd_relations.pkt:PKT",
        "rkd-distance": "gkd_relations.rkd_distance:RKDDistance",
        "rkd-angle": "gkd_relations.rkd_angle:RKDAngle",
        "sp": "gkd_relations.sp:SP",
    }


__getattr__ = lazy_getattr(__name__, gkd_losses)
