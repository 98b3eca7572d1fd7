"""Names of a plugin: of its distribution, module, component and class."""

import keyword
import re
import sys
from dataclasses import dataclass
from importlib.util import find_spec

from gkd.errors import ParameterError

_PREFIX = "gkd-"
_VALID = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True, slots=True)
class PluginName:
    """One name in the forms that a project needs.

    Args:
        distribution: as in ``pip install``: lower-case letters, digits and single dashes, a letter
            first.

    Raises:
        ParameterError: it is not of that form (the nearest that is, is named), or its module exists
            already.

    >>> name = PluginName("gkd-edge-cosine")
    >>> name.module, name.component, name.class_name
    ('gkd_edge_cosine', 'edge-cosine', 'EdgeCosine')
    >>> PluginName("My Loss!")
    Traceback (most recent call last):
    gkd.errors.ParameterError: 'My Loss!' is not a valid plugin name: use lower-case letters, ...
    """

    distribution: str

    def __post_init__(self) -> None:
        name = self.distribution
        if not _VALID.fullmatch(name):
            raise ParameterError(
                f"{name!r} is not a valid plugin name: use lower-case letters, digits and single "
                f"dashes, a letter first; try {_nearest(name)!r}"
            )
        if _is_taken(self.module):
            raise ParameterError(
                f"{name!r} is not a valid plugin name: the module {self.module!r} exists already; "
                f"try {_nearest(name)!r}"
            )

    @property
    def module(self) -> str:
        """What Python imports."""
        return self.distribution.replace("-", "_")

    @property
    def component(self) -> str:
        """What recipes and ``gkd.create`` ask for: the name without a leading ``gkd-``."""
        return self.distribution.removeprefix(_PREFIX)

    @property
    def class_name(self) -> str:
        """Name of the component's class."""
        name = "".join(map(str.capitalize, self.component.split("-")))
        return name if name.isidentifier() and not keyword.iskeyword(name) else f"My{name}"


def _nearest(name: str) -> str:
    """Return a valid name that nobody has, as near to ``name`` as possible."""
    words = re.findall("[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+", name)
    plain = "-".join(map(str.lower, words)) or "my-plugin"
    prefixed = plain if plain.startswith(_PREFIX) else f"{_PREFIX}{plain}"
    candidates = [plain, prefixed, *(f"{prefixed}-{n}" for n in range(2, 100))]
    return next(
        candidate
        for candidate in candidates
        if _VALID.fullmatch(candidate) and not _is_taken(candidate.replace("-", "_"))
    )


def _is_taken(module: str) -> bool:
    if keyword.iskeyword(module) or module in sys.stdlib_module_names:
        return True
    try:
        spec = find_spec(module)
    except (ImportError, ValueError):
        return True
    return spec is not None and spec.origin is not None  # a mere folder has no origin
