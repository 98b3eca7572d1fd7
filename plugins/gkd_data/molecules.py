"""molecules: generated graphs like small molecules, the regression data that needs no file."""

from typing import Annotated

from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveInt

from gkd import ParameterError
from gkd.errors import validated
from gkd.functional.memory import require_memory
from gkd_data.in_memory import InMemoryDataset
from gkd_data.molecule_graphs import MoleculeGenerator, MoleculeLaw


class Molecules(InMemoryDataset):
    r"""Graphs of atoms and bonds, each with some real properties, like QM9 or ZINC in small.

    A molecule is a random tree, closed into up to ``rings`` rings; no atom has more than four
    bonds. With types t_i one of K, drawn 2:1:…:1, A the adjacency matrix, and a, b, w standard
    normal, drawn once for all molecules:

        context      h_i = [e(t_i), (A e(t))_i, (A² e(t))_i],   e one-hot
        property     y_d = standardised Σ_i (a_d·h_i)(b_d·h_i) / √n  +  noise · ε_d

    Each atom contributes by what is around it, up to two bonds away; scale and offset come from
    molecules of their own, so that y has about mean 0 and variance 1, and an error of 1 is that of
    a constant.

    A sample is one molecule: ``x [n, K]``, one-hot, ``edge_index [2, E]`` (both directions, sorted
    by (target, source)), ``y [1, D]``.

    Args:
        seed: seed of everything random; equal parameters give equal samples everywhere.
        train_graphs: number of training molecules; more of them leave the others as they are.
        validation_graphs: number of validation molecules.
        test_graphs: number of test molecules.
        smallest: least number of atoms n.
        largest: largest number of atoms.
        types: number of types K.
        rings: largest number of rings.
        properties: number of properties D.
        noise: deviation of the noise of a property.

    Raises:
        ParameterError: ``smallest`` is above ``largest``, or there are more rings than bonds, or
            more data than memory.

    >>> data = Molecules(train_graphs=2, validation_graphs=1, test_graphs=1)
    >>> data.train[0].y.shape, data.train[0].x.shape[1]
    (torch.Size([1, 1]), 4)
    """

    task = "regression"
    inputs = ("x", "edge_index", "batch")

    @validated
    def __init__(
        self,
        seed: NonNegativeInt = 0,
        train_graphs: PositiveInt = 1000,
        validation_graphs: PositiveInt = 200,
        test_graphs: PositiveInt = 400,
        smallest: Annotated[int, Field(ge=2)] = 8,
        largest: Annotated[int, Field(ge=2, le=1000)] = 24,
        types: Annotated[int, Field(ge=2)] = 4,
        rings: NonNegativeInt = 3,
        properties: PositiveInt = 1,
        noise: Annotated[FiniteFloat, Field(ge=0)] = 0.05,
    ) -> None:
        if smallest > largest:
            raise ParameterError(
                f"molecules: smallest must be at most largest, got {smallest} and {largest}"
            )
        if rings > largest + 1:
            raise ParameterError(
                f"molecules: rings must be at most {largest + 1}, as no atom of {largest} has more "
                f"than four bonds, got {rings}"
            )
        per_graph = 2048 + 4.0 * largest * types + 32 * largest + 4 * properties
        require_memory(
            (train_graphs + validation_graphs + test_graphs) * per_graph
            + 8.0 * (largest + 512 + 6 * types) * max(largest, properties)
            + 8.0 * types * types,
            "molecules",
            train_graphs=train_graphs,
            validation_graphs=validation_graphs,
            test_graphs=test_graphs,
            largest=largest,
            types=types,
            properties=properties,
        )
        counts = {"train": train_graphs, "validation": validation_graphs, "test": test_graphs}
        generator = MoleculeGenerator(
            MoleculeLaw(seed, smallest, largest, types, rings, properties, noise)
        )
        self.num_features = types
        self.num_classes = properties
        # By split and number, so that more graphs of one split leave all others as they are.
        self.train, self.validation, self.test = (
            [generator.molecule(name, i) for i in range(count)] for name, count in counts.items()
        )
