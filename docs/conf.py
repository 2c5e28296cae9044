"""How the site is built: `./dev docs`."""

import os
import sys
from pathlib import Path

os.environ["PYIPC_BACKEND"] = "fallback"  # whose methods are all Python: what stands in for them has no text
sys.path.insert(0, str(Path(__file__).parent))

import pyipc

project = "pyipc"
author = copyright = "The pyipc developers"
release = pyipc.__version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "docstrings", "programs"]
exclude_patterns = ["design/_template.md"]
html_theme = "furo"
html_title = f"pyipc {release}"
html_copy_source = False
html_static_path = ["site.css"]
html_css_files = ["site.css"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_default_options = {
    "members": True,
    "inherited-members": "BaseException, Exception, OSError, ValueError, EOFError, socket, tuple, object",
}
autodoc_typehints_format = "short"
default_role = "name"

# Aliases and type variables in annotations, which only mypy reads; what other libraries have; and what
# stands in backticks and is no name of ours.
nitpick_ignore_regex = [
    ("py:class", r"[A-Z]\w*|.*\._\w+.*|socket"),
    ("py:(class|exc)", r"(?!pyipc\.)\w+\..+"),
    ("py:obj", ".*"),
]
