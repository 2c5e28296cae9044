"""An extension of Sphinx that reads docstrings as they are written here: Google's sections, names in backticks."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from docutils.utils import unescape
from sphinx.addnodes import pending_xref
from sphinx.domains.python import PyXRefRole
from sphinx.ext.napoleon import Config, GoogleDocstring
from sphinx.util import inspect
from sphinx.util.nodes import make_refnode

import pyipc

GOOGLE = Config(napoleon_use_ivar=True, napoleon_use_rtype=False)
NAME = re.compile(r"[A-Za-z]\w*(\.\w+)*(\(\))?")
SEVERAL = re.compile(r":(ivar|param) [^:]*, [^:]*:")


def setup(app: Any) -> None:
    app.add_role("name", name_or_code)
    app.connect("missing-reference", find)
    app.connect("doctree-read", look_here)
    app.connect("autodoc-process-signature", sign)
    app.connect("autodoc-process-docstring", translate)
    # What chapters load when it is asked for: autodoc does not ask.
    for chapter in (getattr(pyipc, name) for name in pyipc.__all__):
        for name in getattr(chapter, "__all__", ()):
            getattr(chapter, name)


# ---- text ----


def translate(app: Any, what: str, name: str, thing: object, options: Any, lines: list[str]) -> None:
    """Into what Sphinx reads.

    Napoleon as an extension would take what a property says before a colon for its type.
    """
    kind = "method" if what in ("property", "attribute") else what
    plain = [re.sub(r"[\\|]", r"\\\g<0>", line) for line in lines]  # these two mean something there
    for at, (line, blank, next_line) in enumerate(zip(plain, plain[1:], plain[2:])):
        if line.endswith(":") and not blank and begins_code(next_line, indent_of(line)):
            plain[at] += ":"
    lines[:] = map(kept_together, GoogleDocstring(plain, GOOGLE, app, kind, name, thing, options).lines())


def begins_code(line: str, indent: int) -> bool:
    return indent_of(line) > indent and not line.lstrip().startswith("- ")


def indent_of(line: str) -> int:
    return len(line) - len(line.lstrip())


def kept_together(line: str) -> str:
    """Of `uid, gid`, the first would be taken for the type of the second."""
    several = SEVERAL.match(line)
    return several[0].replace(", ", ",") + line[several.end() :] if several else line


def sign(app: Any, what: str, name: str, thing: Any, options: Any, signature: Any, result: Any) -> Any:
    """With modes as one writes them; and of a class that takes whatever comes, what it makes of that."""
    if signature is None:
        return None
    if what == "class" and signature.startswith("(*arguments"):
        known = inspect.signature(thing.__init__, bound_method=True)
        signature = inspect.stringify_signature(known, show_return_annotation=False, unqualified_typehints=True)
    return re.sub(r"(?<=mode: int = )\d+", lambda mode: f"{int(mode[0]):#o}", signature), result


# ---- names ----


def name_or_code(
    role: str, raw: str, text: str, line: int, inliner: Any, options: Any = None, content: Any = ()
) -> Any:
    """What stands in single backticks: a link if there is something of that name, and else code."""
    if NAME.fullmatch(text):
        return PyXRefRole()("py:obj", raw, text, line, inliner, options or {}, content)
    return [nodes.literal(raw, unescape(text))], []


def look_here(app: Any, doctree: nodes.document) -> None:
    """Names in lists of attributes are looked for in their class, not everywhere."""
    for reference in doctree.findall(pending_xref):
        reference.attributes.pop("refspecific", None)


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
