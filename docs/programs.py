"""An extension of Sphinx: `.. programs::` shows what docs/cookbook/README.md lists, under its headings."""

from __future__ import annotations

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
    programs = "".join(f".. literalinclude:: {path}\n   :caption: {path}\n\n" for path in paths)
    return f"{title}\n{'-' * len(title)}\n\n{programs}"


def setup(app: Any) -> None:
    app.add_directive("programs", Programs)
