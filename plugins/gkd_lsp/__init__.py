"""Local structure preserving loss and its kernels.

Yang et al., Distilling Knowledge from Graph Convolutional Networks, CVPR 2020.
"""

from collections.abc import Callable, Mapping

from gkd import AbstractKernel, AbstractLoss, hookimpl
from gkd_lsp.kernels import L2, RBF, Cosine, Laplacian, Linear, Polynomial
from gkd_lsp.lsp import LSP

__all__ = [
    "L2",
    "LSP",
    "RBF",
    "Cosine",
    "Laplacian",
    "Linear",
    "Polynomial",
    "gkd_kernels",
    "gkd_losses",
]


@hookimpl
def gkd_losses() -> Mapping[str, Callable[..., AbstractLoss]]:
    """Return the loss."""
    return {"lsp": LSP}


@hookimpl
def gkd_kernels() -> Mapping[str, Callable[..., AbstractKernel]]:
    """Return the kernels."""
    return {
        "cosine": Cosine,
        "l2": L2,
        "laplacian": Laplacian,
        "linear": Linear,
        "poly": Polynomial,
        "rbf": RBF,
    }
