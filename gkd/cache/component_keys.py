"""Names of components, by which what was computed with them is found again."""

import json
from collections.abc import Mapping, MutableMapping
from uuid import uuid4

from torch.utils.weak import WeakIdKeyDictionary


def component_key(component: object, parameters: Mapping[str, object] | None) -> str:
    """Return a name that another component has only if it computes the same.

    Args:
        component: a loss or a graph builder.
        parameters: that it was created with by name: then the name is the same in any process.
            None, or parameters that are objects, name the component itself while it lives.
    """
    kind = type(component)
    try:
        content = json.dumps(parameters, sort_keys=True) if parameters is not None else None
    except TypeError:
        content = None
    return f"{kind.__module__}.{kind.__qualname__}({content or _own_name(component)})"


def _own_name(component: object) -> str:
    if component not in _names:
        try:
            _names[component] = uuid4().hex
        except TypeError:  # some objects cannot be weakly referenced
            return uuid4().hex
    return _names[component]


_names: MutableMapping[object, str] = WeakIdKeyDictionary()
