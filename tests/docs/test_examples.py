"""Every Python block of the README and of docs/ runs, in a process of its own, and leaves nothing behind."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import pyipc

TOP = Path(__file__).resolve().parents[2]
PAGES = [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)

NEEDS = {
    "SemaphoreSet": "sysv.atomic_operations",
    "channels": "channels",
    "posix.MessageQueue": "posix.message_queues",
    r"sync\.R?Lock|from pyipc\.sync": "sync.locks",
    r"sync\.Counter": "sync.counters",
}


def blocks():
    """The code blocks, each named by its page and line."""
    found = []
    for page in PAGES:
        text = page.read_text()
        for block in BLOCK.finditer(text):
            line = text.count("\n", 0, block.start()) + 2
            found.append(pytest.param(block[1], id=f"{page.relative_to(TOP)}:{line}"))
    return found


@pytest.mark.parametrize("code", blocks())
def test_a_documented_example_runs_without_a_warning(code, tmp_path):
    for what, capability in NEEDS.items():
        if re.search(what, code) and not pyipc.capabilities()[capability]:
            pytest.skip(f"the {pyipc.backend()} backend has no {capability}")
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(TOP)}: {target}"


def test_the_cookbook_lists_each_of_its_programs():
    cookbook = TOP / "docs/cookbook"
    listed = re.findall(r"\]\(([^)]+\.py)\)", (cookbook / "README.md").read_text())
    assert sorted(listed) == sorted(str(path.relative_to(cookbook)) for path in cookbook.rglob("*.py"))
