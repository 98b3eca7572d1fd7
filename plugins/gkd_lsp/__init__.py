"""Local structure preserving loss and its kernels.

Yang et al., Distilling Knowledge from Graph Convolutional Networks, CVPR 2020.
"""

from collections.abc import Mapping

from gkd import hookimpl, lazy_getattr


@hookimpl
def gkd_losses() -> Mapping[str, str]:
    """Return the losses."""
    return {
        "lsp": "gkd_lsp.lsp:LSP",
        "lsp-walks": "gkd_lsp.lsp_walks:LSPWalks",
        "lsp-weighted": "gkd_lsp.lsp_weighted:LSPWeighted",
    }


@hookimpl
def gkd_kernels() -> Mapping[str, str]:
    """Return the kernels."""
    return {
        "cosine": "gkd_lsp.kernels:Cosine",
        "l2": "gkd_lsp.kernels:L2",
        "laplacian": "gkd_lsp.kernels:Laplacian",
        "linear": "gkd_lsp.kernels:Linear",
        "poly": "gkd_lsp.kernels:Polynomial",
        "rbf": "gkd_lsp.kernels:RBF",
    }


__getattr__ = lazy_getattr(__name__, gkd_losses, gkd_kernels)
