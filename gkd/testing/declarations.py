"""What components declare of themselves, and what is taken for granted otherwise.

Losses and kernels declare by the attributes of :class:`gkd.AbstractLoss` and
:class:`gkd.AbstractKernel`. Graph builders and models have no base class; they may set these
attributes, on the class or in ``__init__``:

===================== ======= ===========================================================
graph builder         default
===================== ======= ===========================================================
translation_invariant True    adding a constant to all points changes no edge
bounded_memory        True    no tensor with an entry for every pair of nodes
===================== ======= ===========================================================

===================== ======= ===========================================================
model                 default
===================== ======= ===========================================================
inputs                None    attributes of the batch that ``forward`` takes, in order;
                              None reads the names of its parameters
bounded_memory        True    no tensor with a row of features for every edge, or with an
                              entry for every pair of nodes
===================== ======= ===========================================================

Any factory may list ``example_parameters``, see :func:`gkd.testing.subject.example_parameters`.
"""

from typing import Any

_GRANTED = {"translation_invariant": True, "bounded_memory": True, "inputs": None}


def declared(component: Any, attribute: str) -> Any:
    """Return what ``component`` declares as ``attribute``, or what is taken for granted.

    >>> declared(lambda features, batch: None, "translation_invariant")
    True
    """
    if hasattr(component, attribute):
        return getattr(component, attribute)
    return _GRANTED[attribute]
