"""An extension of Sphinx: `.. programs::` shows what docs/cookbook/README.md lists, under its headings."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

from sphinx.util.docutils import SphinxDirective

LIST = Path(__file__).parent / "cookbook" / "README.md"


class Programs(SphinxDirective):
    def run(self) -> list[Any]:
        self.env.note_dependency(str(LIST))
        chapters = re.findall(r"^## (.*?)$(.*?)(?=^## |\Z)", LIST.read_text(), re.MULTILINE | re.DOTALL)
        return self.parse_text_to_nodes("".join(map(shown, *zip(*chapters))), allow_section_headings=True)


def shown(title: str, table: str) -> str:
    paths = re.findall(r"\]\(([^)]+\.py)\)", table)
    return f"{title}\n{'-' * len(title)}\n\n" + "".join(map(program, paths))


def program(path: str) -> str:
    """What it says of itself as prose, and the rest as code."""
    module = ast.parse((LIST.parent / path).read_text())
    prose = re.sub(r"[\\*|]", r"\\\g<0>", ast.get_docstring(module) or "")
    code = f".. literalinclude:: {path}\n   :lines: {module.body[1].lineno}-\n"
    return f"{path}\n{'~' * len(path)}\n\n{prose}\n\n{code}\n"


def setup(app: Any) -> None:
    app.add_directive("programs", Programs)
