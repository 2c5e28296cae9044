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
FENCED = re.compile(r"^([ \t]*)(```+|~~~+)(.*)\n(?:.*\n)*?\1\2[ \t]*$", re.MULTILINE)

# What is no program that runs by itself, and who looks at it.
NOT_RUN = {
    "py": "two programs that talk: test_tutorial.py",
    "sh": "for people at a prompt, who install, or look at what they see; test_commands_of_the_pages",
    "text": "what is shown, and diagrams",
    "{toctree}": "of Sphinx",
}

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


def test_no_block_is_left_out():
    """Each says what it is; all of `python` run, and none is indented or of another spelling by accident."""
    for page in PAGES:
        text = page.read_text()
        kinds = [fence[3] for fence in FENCED.finditer(text)]
        assert set(kinds) <= {"python", *NOT_RUN}, page
        assert kinds.count("python") == len(BLOCK.findall(text)), page
        assert "::\n\n    " not in text, f"{page}: a block of code without a fence"


def test_commands_of_the_pages():
    """What the pages tell people to type are commands and options that there are."""
    from pyipc.cli import every_command

    known = {name: parser.format_help() for name, (_, parser) in every_command().items()}
    for page in PAGES:
        for block in re.findall(r"^```(?:sh|text)\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL):
            for line in re.findall(r"^(?:\$ )?pyipc (.+?) *(?:#.*)?$", block, re.MULTILINE):
                command, *words = line.split()
                assert command in known, f"{page}: {line}"
                assert [word for word in words if word[0] == "-" and word not in known[command]] == []


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
