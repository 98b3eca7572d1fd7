"""Changes in place of tensors that others see, too: found by the version a tensor counts."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor

from gkd.errors import ParameterError
from gkd.loss import View


def version(value: object) -> int | None:
    """Return how often a tensor was changed in place; None for what does not count that."""
    # Tensors made under inference_mode count no versions.
    return value._version if isinstance(value, Tensor) and not value.is_inference() else None


@contextmanager
def unchanged(whose: str, values: Mapping[str, object], who: str) -> Iterator[None]:
    """Context in which no tensor is changed in place.

    Args:
        whose: what messages call the owner of the tensors.
        values: tensors by name, and whatever else.
        who: what messages call that which runs inside the context.

    Raises:
        ParameterError: one was changed.
    """
    before = {name: version(value) for name, value in values.items()}
    yield
    for name, value in values.items():
        if version(value) != before[name]:
            raise ParameterError(
                f"{who} changes {name} of {whose} in place (by an in-place activation, += or a "
                "method that ends in _), which others are to see as it was; let it change a copy"
            )


def tensors_of(view: View) -> dict[str, Tensor]:
    """Return the tensors of a view, each once, by what messages call them."""
    named = {"logits": view.logits, "features": view.features, "target": view.edge_values}
    # The last of several layers are the features.
    named |= {f"layer {number}": layer for number, layer in enumerate(view.layers[:-1])}
    return {name: tensor for name, tensor in named.items() if tensor is not None}
