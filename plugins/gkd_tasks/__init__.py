"""The tasks of the field, one file each."""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_tasks() -> Mapping[str, str]:
    """Offer the tasks under the names that the field knows them by."""
    return {
        "single-label": "gkd_tasks.single_label:SingleLabel",
        "multi-label": "gkd_tasks.multi_label:MultiLabel",
        "regression": "gkd_tasks.regression:Regression",
        "segmentation": "gkd_tasks.segmentation:Segmentation",
        "link-prediction": "gkd_tasks.link_prediction:LinkPrediction",
    }


__getattr__ = lazy_getattr(__name__, gkd_tasks)
