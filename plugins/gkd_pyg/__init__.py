"""PyTorch Geometric by name: its models and its data sets, in recipes."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_models() -> Mapping[str, str]:
    """Offer all models of PyTorch Geometric under one name."""
    return {"pyg": "gkd_pyg.named_model:pyg_model"}


@hookimpl
def gkd_datasets() -> Mapping[str, str]:
    """Offer all data sets of PyTorch Geometric under one name."""
    return {"pyg": "gkd_pyg.named_dataset:PyGDataset"}


__getattr__ = lazy_getattr(__name__, gkd_models, gkd_datasets)
