"""What a kernel is: the similarity of the two ends of every edge."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from gkd.eager import eagerly
from gkd.functional.similarities import EdgePairs
from gkd.graph import Graph


class AbstractKernel(ABC):
    r"""A similarity :math:`\mathrm{SIM}(z_i, z_j)` of the two ends of an edge.

    Its values are the logits of the local structure (CVPR 2020, equation 3). A subclass implements
    :meth:`similarity` from what :class:`~gkd.functional.similarities.EdgePairs` offers: dot
    products, squared distances, cosines, or any function of the raw pair.

    The attributes declare what the kernel is like; ``gkd.testing`` holds it to them.

    Attributes:
        symmetric: whether both directions of an edge are equally similar.
        bounded_memory: whether it does without a tensor that has features for every edge, or a
            number for every pair of nodes.
        linear_work: whether its work grows in proportion to nodes and edges.
        pairwise: whether the similarity of a pair depends on nothing but this pair, so that it is
            the same in every batch.

    >>> class Negative(AbstractKernel):
    ...     def similarity(self, pairs):
    ...         return -pairs.squared_distance()
    >>> graph = Graph(torch.tensor([[1], [0]]), num_nodes=2)
    >>> Negative()(torch.tensor([[0.0], [3.0]]), graph)
    tensor([-9.])
    """

    symmetric: bool = True
    bounded_memory: bool = True
    linear_work: bool = True
    pairwise: bool = True

    @abstractmethod
    def similarity(self, pairs: EdgePairs) -> Tensor:
        """Return the similarity of every pair, ``[E]``, differentiable in the features."""

    @eagerly
    def __call__(self, features: Tensor, graph: Graph) -> Tensor:
        """Return the similarity of the two ends of every edge.

        Args:
            features: ``[N, F]``.
            graph: E edges over N nodes.

        Returns:
            ``[E]``, float32 or float64: autocast to half precision does not apply.

        Raises:
            ParameterError: features that do not fit the graph.
        """
        with torch.autocast(features.device.type, enabled=False):
            return self.similarity(EdgePairs(features, graph))
