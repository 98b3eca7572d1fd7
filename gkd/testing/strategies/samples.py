"""What models and distillers are called with."""

from collections.abc import Sequence
from functools import partial

from hypothesis import strategies as st

from gkd.data import Batch, Sample, collate
from gkd.testing.strategies.graphs import edge_indices, features

CONTENTS = ("x", "pos", "edge_index")


@st.composite
def samples(
    draw: st.DrawFn,
    contents: Sequence[str] = CONTENTS,
    *,
    id: str = "sample",
    in_channels: int = 3,
    min_nodes: int = 1,
    max_nodes: int = 6,
    smooth: bool = False,
) -> Sample:
    """Draw one graph or point cloud.

    Args:
        draw: given by hypothesis.
        contents: its tensors, of ``x [N, in_channels]``, ``pos [N, in_channels]`` and
            ``edge_index [2, E]``, in any order and with repetitions.
        id: its name.
        in_channels: width of ``x`` and ``pos``.
        min_nodes: at least 1.
        max_nodes: at most.
        smooth: as in :func:`features`.
    """
    nodes = draw(st.integers(min_nodes, max_nodes))
    makers = {
        "x": features(nodes, in_channels, smooth),
        "pos": features(nodes, in_channels, True),
        "edge_index": edge_indices([nodes]),
    }
    return Sample(id=id, num_nodes=nodes, **{name: draw(makers[name]) for name in contents})


@st.composite
def batches(
    draw: st.DrawFn,
    contents: Sequence[str] = CONTENTS,
    *,
    min_samples: int = 1,
    max_samples: int = 3,
    in_channels: int = 3,
    min_nodes: int = 1,
    max_nodes: int = 6,
    smooth: bool = False,
) -> Batch:
    """Draw several samples as one batch; the parameters are those of :func:`samples`."""
    count = draw(st.integers(min_samples, max_samples))
    sample = partial(
        samples,
        contents,
        in_channels=in_channels,
        min_nodes=min_nodes,
        max_nodes=max_nodes,
        smooth=smooth,
    )
    return collate([draw(sample(id=f"sample-{i}")) for i in range(count)])
