"""The site builds without a warning, and its links lead somewhere."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import pytest

import pyipc

DOCS = Path(__file__).resolve().parents[2] / "docs"

MISSING = [
    name for name in ("sphinx", "myst_parser", "furo", "sysv_ipc", "posix_ipc") if find_spec(name) is None
]


@pytest.mark.timeout(300)  # 15 s of a CPU, beside whatever else runs
@pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)} (`./dev docs` installs them)")
def test_it_builds_and_its_links_lead_somewhere(tmp_path):
    site = tmp_path / "site"
    build = [sys.executable, "-m", "sphinx", *"-q -n -W --keep-going -d".split(), str(tmp_path / "doctrees")]
    done = subprocess.run([*build, str(DOCS), str(site)], capture_output=True, text=True, timeout=280)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr

    pages = {page: page.read_text() for page in site.rglob("*.html")}
    assert site / "index.html" in pages
    assert site / "reference/channels.html" in pages
    assert not [page for page, text in pages.items() if 'class="problematic"' in text]
    ids = {page: set(re.findall(r'\bid="([^"]+)"', text)) for page, text in pages.items()}
    for page, text in pages.items():
        for link in re.findall(r'\b(?:href|src)="(?!\w+:)([^"]*)"', text):
            path, _, anchor = unquote(link.partition("?")[0]).partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.exists(), f"{page.relative_to(site)}: {link}"
            if anchor and target in ids:
                assert anchor in ids[target], f"{page.relative_to(site)}: {link}"
    known = set().union(*(ids[page] for page in pages if page.parent == site / "reference"))
    assert [name for name in public_names() if name not in known] == []
    programs = (site / "cookbook/programs.html").read_text()
    names = [f"{path.parent.name}/{path.name}" for path in (DOCS / "cookbook").rglob("*.py")]
    assert [name for name in names if name not in programs] == []


def public_names():
    """As the site has them for anchors."""
    for name in pyipc.__all__:
        found = getattr(pyipc, name)
        if isinstance(found, type):
            yield f"pyipc.errors.{name}"
        elif callable(found):
            yield f"pyipc.{name}"
        else:
            yield f"module-pyipc.{name}"
            yield from (
                f"pyipc.{name}.{inner}" for inner in getattr(found, "__all__", ()) if name != "compat"
            )
