"""communities: generated graphs with overlapping communities, the data set that needs no file."""

from typing import Annotated

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt

from gkd import ParameterError
from gkd.errors import validated
from gkd.functional.memory import require_memory
from gkd_data.community_graphs import CommunityGenerator, CommunityLaw
from gkd_data.in_memory import InMemoryDataset


class Communities(InMemoryDataset):
    r"""Multi-label graphs with overlapping communities, like PPI in small.

    All graphs share K communities and what follows from belonging to them; each graph is drawn
    anew. With ε, a, b, w standard normal, and A the adjacency matrix of a graph:

        membership   θ_i ∈ ℝᴷ, uniform on the simplex of 1 to 3 communities drawn for node i
        link         P(A_ij = 1) = d/N · (0.8 · θ_i·θ_j / mean(θ_i·θ_j) + 0.2)
        features     x_i = v_i (Σ_k θ_ik w_k + σ ε_i),   P(v_i = 0) = ``hidden``
        context      h_i = [θ_i, (Aθ)_i / (A1)_i, (A²θ)_i / (A²1)_i], standardised
        labels       y_ic = 1 where (a_c·h_i)(b_c·h_i) > t_c

    t_c makes a label true for 30 % of the nodes. Features tell a node's membership with noise, or
    not at all, so it has to be gathered from neighbours; labels are products of what happens at
    up to two hops, different ones for each class. So depth and width pay: a network that is too
    small stays several points of micro-F1 below a larger one.

    A sample is one graph: ``x [N, F]``, ``edge_index [2, E]`` (symmetric, no self-loops, sorted by
    (target, source)), ``y [N, C]``. Generation takes memory O(N²), per graph.

    Args:
        seed: seed of everything random; equal parameters give equal samples everywhere.
        train_graphs: number of training graphs; more of them leave the others as they are.
        validation_graphs: number of validation graphs.
        test_graphs: number of test graphs.
        nodes: nodes per graph N.
        features: width F of the input.
        classes: number of labels C.
        communities: number of communities K.
        degree: expected number of neighbours d, at most N.
        noise: deviation σ of the feature noise (the signal's is about 0.8).
        hidden: probability that a node's features are all zero.
        labels: the first, and the one after the last, that the data have; None for all. Two
            networks may know different ones of the same nodes.

    Raises:
        ParameterError: there are fewer nodes than neighbours, or is more data than memory.

    Source: overlapping memberships as in Airoldi et al., JMLR 2008 (mixed-membership block model).

    >>> data = Communities(train_graphs=2, validation_graphs=1, test_graphs=1, nodes=50)
    >>> data.train[0].x.shape, data.train[0].y.shape
    (torch.Size([50, 32]), torch.Size([50, 40]))
    """

    task = "multi-label"
    inputs = ("x", "edge_index")

    @validated
    def __init__(
        self,
        seed: NonNegativeInt = 0,
        train_graphs: PositiveInt = 20,
        validation_graphs: PositiveInt = 4,
        test_graphs: PositiveInt = 4,
        nodes: Annotated[int, Field(ge=2)] = 300,
        features: PositiveInt = 32,
        classes: PositiveInt = 40,
        communities: Annotated[int, Field(ge=3)] = 12,
        degree: Annotated[float, Field(ge=0)] = 20.0,
        noise: Annotated[FiniteFloat, Field(ge=0)] = 0.3,
        hidden: Annotated[float, Field(ge=0, le=1)] = 0.3,
        labels: tuple[NonNegativeInt, NonNegativeInt] | None = None,
    ) -> None:
        first, end = labels or (0, classes)
        if not first < end <= classes:
            raise ParameterError(
                f"communities: labels must be some of the {classes}, as in (0, {classes}), got "
                f"({first}, {end})"
            )
        if degree > nodes:
            raise ParameterError(
                f"communities: degree must be at most {nodes}, the number of nodes, got {degree}"
            )
        require_memory(
            (train_graphs + validation_graphs + test_graphs)
            * (2048 + 4.0 * nodes * (features + classes) + 16 * nodes * degree)
            + 32.0 * nodes * (nodes + 12 * communities + classes + features)
            + 64.0 * communities * (features + classes),
            "communities",
            train_graphs=train_graphs,
            validation_graphs=validation_graphs,
            test_graphs=test_graphs,
            nodes=nodes,
            features=features,
            classes=classes,
            communities=communities,
        )
        counts = {"train": train_graphs, "validation": validation_graphs, "test": test_graphs}
        generator = CommunityGenerator(
            CommunityLaw(seed, nodes, features, classes, communities, degree, noise, hidden)
        )
        self.num_features = features
        self.num_classes = end - first
        # By split and number, so that more graphs of one split leave all others as they are.
        self.train, self.validation, self.test = (
            [
                generator.graph(split, i).sample(f"{name}-{i}", slice(first, end))
                for i in range(count)
            ]
            for split, (name, count) in enumerate(counts.items())
        )
