"""Datasets: PPI, ModelNet, files of nodes and of graphs, objects of one's own; four generated."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_datasets() -> Mapping[str, str]:
    """Offer the datasets of this plugin."""
    return {
        "communities": "gkd_data.communities:Communities",
        "modelnet40": "gkd_data.modelnet:ModelNet40",
        "molecules": "gkd_data.molecules:Molecules",
        "nodes": "gkd_data.nodes:Nodes",
        "objects": "gkd_data.objects:Objects",
        "parts": "gkd_data.parts:Parts",
        "ppi": "gkd_data.ppi:PPI",
        "shapes": "gkd_data.shapes:Shapes",
        "tudataset": "gkd_data.tudataset:TUDataset",
    }


__getattr__ = lazy_getattr(__name__, gkd_datasets)
