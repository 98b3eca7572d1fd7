"""Nearest neighbours by the k-d trees of torch-cluster."""

import warnings
from collections.abc import Sequence
from functools import cache
from types import ModuleType

import torch
from torch import Tensor

from gkd import ParameterError
from gkd.functional.neighbours import comparable
from gkd.functional.threads import PER_THREAD, Share, in_threads, shares
from gkd_dynamic.kd_tree import keep_own
from gkd_dynamic.usable import usable

_POINTS_PER_SHARE = 512
_HOW_TO_INSTALL = "install it beside torch: pip install --no-build-isolation torch-cluster"


@cache
def find_torch_cluster() -> ModuleType | Exception:
    """Return torch-cluster, or why it cannot be used."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import torch_cluster
    except (ImportError, OSError, RuntimeError) as error:  # absent, or built for another torch
        return error
    module: ModuleType = torch_cluster
    return module


def require_torch_cluster() -> ModuleType:
    """Return torch-cluster; :class:`~gkd.ParameterError` that says how to install it."""
    return usable(find_torch_cluster(), "torch-cluster", _HOW_TO_INSTALL)


@torch.inference_mode(mode=False)
@torch.no_grad()
def cluster_neighbours(features: Tensor, sizes: Sequence[int], k: int) -> Tensor:
    """Return what :func:`~gkd.functional.neighbours.nearest_neighbours` does."""
    module = require_torch_cluster()
    # In float64, which costs the tree no time, so that it decides as exact arithmetic does.
    x = comparable(features, sizes).double()
    if x.device.type == "cuda" and torch.ops.torch_cluster.cuda_version() < 0:
        raise ParameterError(
            "knn: this build of torch-cluster has no CUDA, but the features are there; take "
            "backend 'torch'"
        )
    size = torch.tensor(sizes, dtype=torch.int64, device=x.device)
    cloud = torch.arange(len(sizes), device=x.device).repeat_interleave(size)
    ends = size.cumsum(0)

    def sources(share: Share) -> Tensor:
        # Without any points there is no first cloud to number the others from.
        rows = share.of(len(x))
        if rows.start == rows.stop:
            return cloud
        # Whole clouds to search in, numbered from 0, and some of their points to search for.
        first, last = int(cloud[rows.start]), int(cloud[rows.stop - 1])
        begin, end = int(ends[first] - size[first]), int(ends[last])
        pairs = module.knn(x[begin:end], x[rows], k, cloud[begin:end] - first, cloud[rows] - first)
        found: Tensor = pairs[1] + begin
        return found

    largest = max(sizes, default=0)
    # torch-cluster searches with one thread, but without Python's lock. A share builds the trees of
    # all clouds that it has points of: few enough shares that two seldom build the same.
    clouds = len(x) // max(1, largest)
    per_thread = min(PER_THREAD, max(1, clouds // torch.get_num_threads()))
    pieces = in_threads(sources, shares(len(x), _POINTS_PER_SHARE, per_thread))
    width = min(k, largest)
    return _rows(torch.cat(pieces), size.clamp_max(k)[cloud], width)


def _rows(sources: Tensor, counts: Tensor, width: int) -> Tensor:
    """Neighbours of each point, ``[N, K]``, from those of all points one after another."""
    filled = torch.arange(width, device=counts.device) < counts[:, None]
    # Clouds of fewer than k points have shorter rows; mostly there are none, and no copy is needed.
    if len(sources) == filled.numel():
        neighbours = sources.view(filled.shape)
    else:
        neighbours = torch.full_like(filled, -1, dtype=sources.dtype)
        neighbours.masked_scatter_(filled, sources)
    keep_own(neighbours)
    return neighbours
