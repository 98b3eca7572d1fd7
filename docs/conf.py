"""The site: Markdown pages by MyST, the API from docstrings; built without a network."""

import re
import runpy
import tomllib
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util.logging import getLogger

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

project = PROJECT["name"]
author = "The gkd authors"
release = version = PROJECT["version"]
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["generate", "_build"]
html_theme = "furo"
html_title = f"gkd {version}"
html_copy_source = False
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["site.css"]
myst_enable_extensions = ["dollarmath", "colon_fence"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4
napoleon_use_ivar = True
autodoc_typehints = "none"  # the signatures have them
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
suppress_warnings = ["myst.strikethrough"]
html_math_renderer = "mathml"

LOGGER = getLogger(__name__)
SIZES = re.compile(
    r"\\(?:[Bb]igg?[lrm]?|middle)(?![A-Za-z])"
)  # MathML's brackets grow by themselves
OUTSIDE = re.compile(r"\]\(\.\./([^)]+)\)")


def write_components(app: Sphinx) -> None:
    """Write the page of components, which changes with every one of them."""
    runpy.run_path(str(ROOT / "docs" / "generate" / "components.py"), run_name="__main__")


def link_outside(app: Sphinx, name: str, source: list[str]) -> None:
    """Let links to files that are no pages lead to the repository."""
    place = f"{PROJECT['urls']['Repository']}/blob/main"
    source[0] = OUTSIDE.sub(rf"]({place}/\1)", source[0])


def mathml(node: nodes.Element, *, block: bool) -> str:
    """Return a formula as MathML, which browsers show by themselves."""
    text = SIZES.sub("", node.astext())
    try:
        return tex2mathml(text, as_block=block)
    except MathError as error:
        LOGGER.warning("formula: %s", error, location=node)
        return f"<code>{escape(text)}</code>"


def inline_math(translator: Any, node: nodes.math) -> None:
    """Write a formula in a line."""
    translator.body.append(mathml(node, block=False))
    raise nodes.SkipNode


def displayed_math(translator: Any, node: nodes.math_block) -> None:
    """Write a formula of its own."""
    translator.body.append(f'<div class="math">{mathml(node, block=True)}</div>')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Tell Sphinx of what is defined here."""
    app.add_html_math_renderer(
        "mathml", inline_renderers=(inline_math, None), block_renderers=(displayed_math, None)
    )
    app.connect("builder-inited", write_components)
    app.connect("source-read", link_outside)
