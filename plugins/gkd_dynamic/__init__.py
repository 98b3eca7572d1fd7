"""Graphs that follow the features: nearest neighbours, neighbours within a radius, unions."""

from collections.abc import Callable, Mapping

from gkd import Graph, hookimpl
from gkd_dynamic.knn import KNN
from gkd_dynamic.radius import Radius
from gkd_dynamic.union import Union

__all__ = ["KNN", "Radius", "Union", "gkd_graph_builders"]


@hookimpl
def gkd_graph_builders() -> Mapping[str, Callable[..., Callable[..., Graph]]]:
    """Return the builders."""
    return {"knn": KNN, "radius": Radius, "union": Union}
