"""PointDistiller: Zhang, Dong, Tai, Ma.

PointDistiller: Structured Knowledge Distillation Towards Efficient and Compact 3D Detection,
CVPR 2023, https://arxiv.org/abs/2205.11098.
"""

from typing import Annotated, cast

import torch
from pydantic import Field, FiniteFloat, PositiveInt
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from gkd import AbstractLoss, Paper, Step, View
from gkd.errors import ParameterError, validated
from gkd.functional.neighbours import nearest_neighbours
from gkd.functional.paired_rows import not_built, paired_features, require_widths, sample_pointer
from gkd.functional.segments import segment_softmax


class PointDistiller(AbstractLoss):
    r"""Squared difference of local geometry around the points that matter most to the teacher.

    How important a point is, its largest teacher feature says. Of each cloud the M most important
    points are taken, and of each of these its K nearest points N(i), itself included. A learned
    layer of each network describes a group, as an edge convolution does, with batch normalisation
    over all groups:

    .. math:: h_{ij} = \mathrm{relu}(\mathrm{norm}(W [x_j, x_i])), \qquad j \in N(i)

    The descriptions are compared, weighted by importance a:

    .. math:: \frac{2}{B} \sum_b \frac{1}{M K C} \sum_i w_i \sum_{j \in N(i)}
        \| h^t_{ij} - h^s_{ij} \|^2, \qquad
        w_i = M \operatorname*{softmax}_i \frac{a_i}{\tau}, \quad a_i = \max_c t_{ic}

    Clouds of fewer points than M or K take all of them, and all count alike. The layers of both
    networks learn, the teacher's features do not.

    Args:
        points: M.
        neighbours: K.
        width: C, of the descriptions.
        temperature: τ, in units of the teacher's features.
        positions: attribute of the batch with the positions of the points, in which they are near;
            None for the teacher's features.

    Shapes:
        ``student.features`` ``[N, F]``, ``teacher.features`` ``[N, F']``, ``batch`` the cloud of
        each point; a scalar results.

    Raises:
        ParameterError: in the call, views without features, with different points, or of other
            widths than those built for; positions that are not there.

    Source:
        The paper's reweighted distillation of local geometry, and the authors' code
        (RunpeiDong/PointDistiller) for pillars, which groups a batch as one cloud and takes the
        number of points in a pillar for its importance, M = 6000, K = 128, C = 32 and τ = 0.01. For
        grids, where the largest feature is the importance and M = 256, its softmax has one number
        in each row: all groups weigh the same there.

    When:
        A network of point clouds with features per point, where few points say what an object is.

    Example:
        >>> student, teacher = View(features=torch.randn(6, 4)), View(features=torch.randn(6, 8))
        >>> loss = PointDistiller(points=2, neighbours=3)
        >>> loss.build(student, teacher)
        >>> loss(student, teacher, step=Step.of(student)).shape
        torch.Size([])
    """

    paper = Paper(
        "Zhang, Dong, Tai, Ma",
        "PointDistiller: Structured Knowledge Distillation Towards Efficient and Compact 3D "
        "Detection",
        "CVPR",
        2023,
        "https://arxiv.org/abs/2205.11098",
    )
    parity = ("RunpeiDong/PointDistiller",)
    uses = ("features",)
    zero_at_equality = False  # both layers begin at random
    least_at_equality = False
    samples_apart = False  # both layers normalise over the batch
    layers: nn.ModuleDict | None

    @validated
    def __init__(
        self,
        points: PositiveInt = 256,
        neighbours: PositiveInt = 16,
        width: PositiveInt = 32,
        temperature: Annotated[FiniteFloat, Field(gt=0)] = 1.0,
        positions: str | None = None,
    ) -> None:
        super().__init__()
        self.points, self.neighbours, self.width = points, neighbours, width
        self.temperature, self.positions = temperature, positions
        self.layers = None

    def build(self, student: View, teacher: View) -> None:
        """Create the layers for these widths; those that exist stay."""
        if self.layers is not None:
            return
        features = paired_features(
            student.require_features("pointdistiller"),
            teacher.require_features("pointdistiller"),
            "pointdistiller",
        )
        self.layers = nn.ModuleDict(
            {
                name: Groups(z.shape[1], self.width).to(z)
                for name, z in zip(("student", "teacher"), features, strict=True)
            }
        )

    def forward(self, student: View, teacher: View, *, step: Step) -> Tensor:
        """Return the mean over clouds, a scalar; 0 where there are no points."""
        ours, theirs = paired_features(
            student.require_features("pointdistiller"),
            teacher.require_features("pointdistiller"),
            "pointdistiller",
        )
        layers = self._require_built(ours, theirs)
        pointer = sample_pointer(student.batch, teacher.batch, ours, "pointdistiller")
        importance = theirs.amax(dim=1) / self.temperature
        chosen, taken = most_important(importance, pointer, self.points)
        space = theirs if self.positions is None else self._positions(len(ours), step)
        near = nearest_neighbours(space, pointer.diff().tolist(), self.neighbours)[chosen]
        centre, column = (near >= 0).nonzero(as_tuple=True)
        neighbour, count = near[centre, column], (near >= 0).sum(dim=1)
        with torch.autocast(ours.device.type, enabled=False):
            described = [
                layer(z, neighbour, chosen[centre])
                for layer, z in zip(layers.values(), (ours, theirs), strict=True)
            ]
            squares = (described[1] - described[0]).square().mean(dim=1)
            weights = segment_softmax(importance[chosen], taken)
            # Of M times the softmax, divided by M and K and the number of clouds.
            shares = (weights / count.clamp(min=1))[centre] / max(len(pointer) - 1, 1)
            value: Tensor = 2 * (shares * squares).sum()
        return value.to(ours.dtype)

    def _positions(self, count: int, step: Step) -> Tensor:
        assert self.positions is not None
        found = getattr(step.batch, self.positions, None)
        if not isinstance(found, Tensor) or found.ndim != 2 or len(found) != count:
            said = list(found.shape) if isinstance(found, Tensor) else type(found).__name__
            raise ParameterError(
                f"pointdistiller: positions={self.positions!r}: expected a row for each of {count} "
                f"points in the batch, got {said}"
            )
        return found

    def _require_built(self, student: Tensor, teacher: Tensor) -> nn.ModuleDict:
        if self.layers is None:
            raise not_built("pointdistiller", "the layers do")
        ours, theirs = (cast(int, layer.channels) for layer in self.layers.values())
        require_widths("pointdistiller", (ours, theirs), student, teacher)
        return self.layers

    def extra_repr(self) -> str:
        """Hyper-parameters, for ``print``."""
        return (
            f"points={self.points}, neighbours={self.neighbours}, width={self.width}, "
            f"temperature={self.temperature}, positions={self.positions!r}"
        )


class Groups(nn.Module):
    """Describes each pair of a centre and a neighbour.

    Args:
        channels: width of the features.
        width: of the descriptions.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.channels = channels
        self.linear = nn.Linear(2 * channels, width, bias=False)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, features: Tensor, neighbours: Tensor, centres: Tensor) -> Tensor:
        """Return the descriptions of P pairs, ``[P, width]``.

        Args:
            features: ``[N, channels]``.
            neighbours: int64 ``[P]``.
            centres: int64 ``[P]``.
        """
        features = features.to(self.linear.weight.dtype)
        # Each half of the map on the points, and not on pairs, which are many more.
        of_neighbour, of_centre = self.linear.weight.chunk(2, dim=1)
        mapped = (features @ of_neighbour.T)[neighbours] + (features @ of_centre.T)[centres]
        norm = self.norm
        # A single pair has no variance: what was seen before stands for it.
        normalised: Tensor = (
            norm(mapped)
            if len(mapped) > 1
            else batch_norm(mapped, norm.running_mean, norm.running_var, norm.weight, norm.bias)
        )
        return normalised.relu()


def most_important(importance: Tensor, pointer: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Numbers of the most important rows of each sample, and where those of each begin.

    Args:
        importance: ``[N]``.
        pointer: int64 ``[B+1]``, where the rows of each sample begin.
        count: of each sample, or all it has.

    >>> most_important(torch.tensor([0.0, 2.0, 1.0, 3.0]), torch.tensor([0, 3, 4]), count=2)
    (tensor([1, 2, 3]), tensor([0, 2, 3]))
    """
    sizes = pointer.diff()
    samples = torch.arange(len(sizes), device=pointer.device).repeat_interleave(sizes)
    order = importance.argsort(descending=True, stable=True)
    order = order[samples[order].argsort(stable=True)]
    place = torch.arange(len(order), device=pointer.device) - pointer[samples]
    taken = sizes.clamp(max=count).cumsum(0)
    return order[place < count], torch.cat([taken.new_zeros(1), taken])
