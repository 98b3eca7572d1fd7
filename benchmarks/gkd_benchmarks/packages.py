"""Well-known packages to compare with, where they are installed."""

import warnings
from collections.abc import Callable
from types import ModuleType
from typing import Any

from gkd.benchmarking import MissingPackageError


def geometric() -> ModuleType:
    """Return torch_geometric with its layers.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import torch_geometric.nn
    except ImportError as error:
        raise MissingPackageError(
            f"torch_geometric is not installed ({error}); pip install torch-geometric"
        ) from error
    package: ModuleType = torch_geometric
    return package


def cluster() -> ModuleType:
    """Return torch_cluster.

    Raises:
        MissingPackageError: it is not installed, or does not fit this torch.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            import torch_cluster
    except (ImportError, OSError, RuntimeError) as error:
        raise MissingPackageError(
            f"torch_cluster is not usable ({error}); pip install --no-build-isolation torch-cluster"
        ) from error
    package: ModuleType = torch_cluster
    return package


def scipy_tree() -> Callable[..., Any]:
    """Return scipy's k-d tree.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        from scipy.spatial import cKDTree
    except ImportError as error:
        raise MissingPackageError(f"scipy is not installed ({error}); pip install scipy") from error
    tree: Callable[..., Any] = cKDTree
    return tree


def faiss_index() -> Callable[..., Any]:
    """Return faiss's index of all distances.

    Raises:
        MissingPackageError: it is not installed.
    """
    try:
        from faiss import IndexFlatL2
    except ImportError as error:
        raise MissingPackageError(
            f"faiss is not installed ({error}); pip install faiss-cpu"
        ) from error
    index: Callable[..., Any] = IndexFlatL2
    return index
