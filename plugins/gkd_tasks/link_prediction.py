"""Link prediction: which pairs of nodes are joined by an edge."""

from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor
from torch.nn import functional

from gkd import DataError, Task
from gkd.errors import validated
from gkd_tasks.negative_pairs import negative_pairs
from gkd_tasks.supervision import at_least_single, form

if TYPE_CHECKING:
    from torchmetrics import MetricCollection


class LinkPrediction(Task):
    r"""Pairs of nodes are joined or not: binary cross entropy of their scores, mean over pairs.

    .. math:: -\frac{1}{P} \sum_p y_p \log \sigma(s_p) + (1 - y_p) \log (1 - \sigma(s_p))

    The score of a pair of nodes (i, j) is the product of their embeddings, :math:`z_i \cdot z_j`,
    or what the network says of it.

    Pairs come from the batch, by PyTorch Geometric's names: ``edge_label_index``, int64 ``[2, P]``,
    and ``edge_label``, 0 or 1, ``[P]``. Of a batch without them, the edges are positive, and for
    each of them some pairs are drawn that begin at its source, end anywhere in the same graph, and
    are no edge: others in every step of training, always the same in evaluation.

    Metrics, each over the pairs of a whole split: Hits@K, the share of positive pairs whose score
    is above that of the K-th best negative pair; the mean reciprocal rank of a positive pair among
    all negative ones; the area under the ROC curve; the average precision.

    Args:
        outputs: of the network: ``"embeddings"`` of nodes ``[N, F]``, or ``"scores"`` of the
            batch's pairs ``[P]`` or ``[P, 1]``. Embeddings predict nothing by themselves: a loss
            that compares features takes them, and KD does not.
        metric: the main one; ``"hits"`` is Hits@K.
        k: K of Hits@K.
        negatives: drawn for each edge, where the batch has no labelled pairs.
        seed: of the pairs that evaluation draws.

    Raises:
        DataError: pairs that do not fit, or labels other than 0 and 1.

    Source:
        Hits@K and its ties as in the Open Graph Benchmark, Hu et al., 2020.

    Example:
        >>> LinkPrediction().loss(torch.tensor([0.0, 0.0]), torch.tensor([1.0, 0.0]))
        tensor(0.6931)
    """

    target = "edge_label"
    example_parameters: ClassVar[tuple[dict[str, object], ...]] = (
        {},
        {"outputs": "scores", "metric": "hits", "k": 2},
    )

    @validated
    def __init__(
        self,
        outputs: Literal["embeddings", "scores"] = "embeddings",
        metric: Literal["hits", "mrr", "roc_auc", "average_precision"] = "roc_auc",
        k: PositiveInt = 10,
        negatives: PositiveInt = 1,
        seed: NonNegativeInt = 0,
    ) -> None:
        self.outputs = outputs
        self.likelihood = "embedding" if outputs == "embeddings" else "sigmoid"
        self.metric = f"hits@{k}" if metric == "hits" else metric
        self.k = k
        self.negatives = negatives
        self.seed = seed

    def examples(
        self,
        outputs: Tensor,
        batch: object,
        target: str,
        generator: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return scores and labels of pairs, ``[P]`` each."""
        pairs, y = getattr(batch, "edge_label_index", None), getattr(batch, target, None)
        if pairs is None and y is None and self.outputs == "embeddings":
            return self._drawn(outputs, batch, generator)
        if not isinstance(y, Tensor) or not isinstance(pairs, Tensor) or len(pairs) != 2:
            raise DataError(
                f"link-prediction: expected pairs edge_label_index, int64 [2, P], and their labels "
                f"{target}, 0 or 1, in the batch ({type(batch).__name__})"
            )
        if self.outputs == "embeddings":
            outputs = self._scores(outputs, pairs)
        elif outputs.shape == (pairs.shape[1], 1):
            outputs = outputs[:, 0]
        return outputs, y

    def _drawn(
        self, outputs: Tensor, batch: object, generator: torch.Generator | None
    ) -> tuple[Tensor, Tensor]:
        edges = getattr(batch, "edge_index", None)
        if not isinstance(edges, Tensor) or len(edges) != 2:
            raise DataError(
                f"link-prediction: the batch ({type(batch).__name__}) has neither edge_label_index "
                "with pairs nor edge_index with edges"
            )
        self._require_embeddings(outputs, edges)
        if generator is None:
            generator = torch.Generator(edges.device).manual_seed(self.seed)
        samples = getattr(batch, "batch", None)
        drawn = negative_pairs(edges, len(outputs), self.negatives, generator, samples)
        y = torch.cat([edges.new_ones(edges.shape[1]), edges.new_zeros(drawn.shape[1])])
        return self._scores(outputs, torch.cat([edges, drawn], dim=1)), y.to(torch.float32)

    def _scores(self, outputs: Tensor, pairs: Tensor) -> Tensor:
        self._require_embeddings(outputs, pairs)
        embeddings = at_least_single(outputs)
        return (embeddings[pairs[0]] * embeddings[pairs[1]]).sum(1)

    def _require_embeddings(self, outputs: Tensor, pairs: Tensor) -> None:
        if outputs.ndim != 2 or (pairs.numel() and int(pairs.max()) >= len(outputs)):
            raise DataError(
                "link-prediction: expected embeddings [N, F] of all nodes that the pairs name, got "
                f"{form(outputs)}; a network that scores pairs itself has outputs='scores'"
            )

    def loss(self, outputs: Tensor, y: Tensor) -> Tensor:
        """Binary cross entropy of the scores, mean over pairs."""
        scores = at_least_single(outputs)
        if not y.numel():
            return scores.sum()
        return functional.binary_cross_entropy_with_logits(scores, y.to(scores.dtype))

    def check(self, outputs: Tensor, y: Tensor) -> None:
        """Expect floating-point scores ``[P]``, and for each a label 0 or 1."""
        if outputs.ndim != 1 or not outputs.is_floating_point():
            raise DataError(
                f"link-prediction: expected scores of pairs in floating point, [P], got "
                f"{form(outputs)}"
            )
        if y.shape != outputs.shape or y.is_complex():
            raise DataError(
                f"link-prediction: expected a label for each of {len(outputs)} pairs, got {form(y)}"
            )
        if not ((y == 0) | (y == 1)).all():
            raise DataError("link-prediction: expected labels 0 and 1")

    def metrics(self, num_classes: int) -> "MetricCollection":
        """Hits@K, mean reciprocal rank, ROC AUC and average precision."""
        from torchmetrics import MetricCollection

        from gkd_tasks.pair_metrics import pair_metrics

        return MetricCollection({**pair_metrics(self.k)}, compute_groups=False)

    def example(
        self, num_rows: int, num_classes: int, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw scores and labels of pairs, for the conformance kit."""
        scores = torch.randn(num_rows, generator=generator)
        return scores, (torch.rand(num_rows, generator=generator) < 0.5).float()
