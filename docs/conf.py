"""How the site is built: `./dev docs`."""

from __future__ import annotations

import os
import re
from typing import Any

os.environ["PYIPC_BACKEND"] = "fallback"  # whose methods are all Python: what stands in for them has no text

import pyipc
from docutils import nodes
from docutils.utils import unescape
from sphinx.addnodes import pending_xref
from sphinx.domains.python import PyXRefRole
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.util.nodes import make_refnode

project = "pyipc"
author = copyright = "The pyipc developers"
release = pyipc.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["design/_template.md"]
html_theme = "furo"
html_title = f"pyipc {release}"
html_copy_source = False
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_default_options = {
    "members": True,
    "inherited-members": "BaseException, Exception, OSError, ValueError, EOFError, socket, tuple, object",
}
autodoc_typehints_format = "short"
GOOGLE = Config(napoleon_use_ivar=True, napoleon_use_rtype=False)

# Aliases and type variables in annotations, which only mypy reads; and what other libraries have.
nitpick_ignore_regex = [
    ("py:(class|obj)", r"[A-Z]\w*|.*\._\w+.*"),
    ("py:(class|exc|obj)", r"(?!pyipc\.)\w+\..+|socket"),
    ("py:obj", ".*"),  # see `name_or_code`
]

default_role = "name"


def name_or_code(
    role: str, raw: str, text: str, line: int, inliner: Any, options: Any = None, content: Any = ()
) -> Any:
    """What stands in single backticks: a link if there is something of that name, and else code."""
    if re.fullmatch(r"[A-Za-z]\w*(\.\w+)*(\(\))?", text):
        return PyXRefRole()("py:obj", raw, text, line, inliner, options or {}, content)
    return [nodes.literal(raw, unescape(text))], []


def find(app: Any, env: Any, node: Any, text: nodes.Element) -> Any:
    """Names as they stand in docstrings: `close()`, and errors without their module."""
    if node["refdomain"] != "py":
        return None
    python, name = env.get_domain("py"), node["reftarget"].replace("()", "")
    for module in node.get("py:module"), "pyipc", "pyipc.errors":
        found = python.find_obj(env, module, node.get("py:class"), name, None, 0)
        if len(found) == 1:
            full, entry = found[0]
            return make_refnode(app.builder, node["refdoc"], entry.docname, entry.node_id, text, full)
    return None


def look_here(app: Any, doctree: nodes.document) -> None:
    """Names in lists of attributes are looked for in their class, not everywhere."""
    for reference in doctree.findall(pending_xref):
        reference.attributes.pop("refspecific", None)


def translate(app: Any, what: str, name: str, thing: object, options: Any, lines: list[str]) -> None:
    """From Google's sections. As an extension, napoleon would take what a property says before a colon for its type."""
    kind = "method" if what in ("property", "attribute") else what
    plain = [line.replace("|", r"\|") for line in lines]  # which would begin a substitution
    lines[:] = GoogleDocstring(plain, GOOGLE, app, kind, name, thing, options).lines()


def setup(app: Any) -> None:
    """Connect these, and load what chapters load when it is asked for: autodoc does not ask."""
    app.add_role("name", name_or_code)
    app.connect("missing-reference", find)
    app.connect("doctree-read", look_here)
    app.connect("autodoc-process-docstring", translate)
    for chapter in (getattr(pyipc, name) for name in pyipc.__all__):
        for name in getattr(chapter, "__all__", ()):
            getattr(chapter, name)
