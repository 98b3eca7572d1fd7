"""Graphs that follow the features: nearest neighbours, neighbours within a radius, unions."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_graph_builders() -> Mapping[str, str]:
    """Return the builders."""
    return {
        "knn": "gkd_dynamic.knn:KNN",
        "radius": "gkd_dynamic.radius:Radius",
        "union": "gkd_dynamic.union:Union",
    }


__getattr__ = lazy_getattr(__name__, gkd_graph_builders)
