"""perlipc's programs of open(): each example runs as it stands. Perl's own are the oracle."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pyipc

EXAMPLES = Path(__file__).parents[2] / "docs" / "cookbook" / "using-open"

pytestmark = [
    pytest.mark.timeout(30),
    pytest.mark.skipif(not EXAMPLES.exists(), reason="the examples are in the repository"),
]

SHOWN = "Active Internet connections\n  tcp indented\nunix 3\n"
NETSTAT = f"""#!/bin/sh
test "$*" = -an || exit 9
printf 'tcp 0\\nudp 1\\n%stcp6 2\\nlast' '{SHOWN}'
echo 'a complaint' >&2
exit ${{NETSTAT_EXIT-0}}
"""


@pytest.fixture
def place(tmp_path):
    """A PATH on which netstat is this script."""
    (tmp_path / "netstat").write_text(NETSTAT)
    (tmp_path / "netstat").chmod(0o755)
    return tmp_path


@pytest.fixture
def run(tmp_path):
    def run(words, **more):
        path = f"{tmp_path}:{os.environ['PATH']}"
        environment = {**os.environ, "PYIPC_BACKEND": pyipc.backend(), "PATH": path, "LC_ALL": "C", **more}
        return subprocess.run(
            words, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=25
        )

    return run


@pytest.fixture
def example(run):
    def example(name, *arguments, **more):
        return run(
            [sys.executable, "-X", "dev", "-W", "error", EXAMPLES / name, *map(str, arguments)], **more
        )

    return example


@pytest.fixture
def perl(run):
    if not shutil.which("perl"):
        pytest.skip("perl is not installed")

    def perl(program, **more):
        return run(["perl", "-e", program], **more)

    return perl


def test_the_spooler_gets_what_perls_gets(example, perl, tmp_path):
    done = example("spooler.py", "tee", tmp_path / "ours")
    assert (done.returncode, done.stdout, done.stderr) == (0, "stuff\n", "")
    assert (tmp_path / "ours").read_text() == "stuff\n"
    program = r"""open(my $to, "| cat -v | cat >theirs 2>/dev/null") or die "no process: $!\n";
        print $to "stuff\n"; close($to) or die "it ended with $?\n";"""
    assert perl(program).returncode == 0
    assert (tmp_path / "theirs").read_text() == (tmp_path / "ours").read_text()


def test_a_spooler_that_is_not_there_or_fails(example, perl):
    done = example("spooler.py", "no-such-spooler")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("bad spool: ")
    assert "'no-such-spooler'" in done.stderr
    done = example("spooler.py", "sh", "-c", "cat >/dev/null; echo why >&2; exit 3")
    assert (done.returncode, done.stderr) == (1, "bad spool: [Errno 121] 'sh' exited with status 3\n")
    # Perl's has been told nothing but a number by then: what the shell said went to /dev/null.
    done = perl(r"""open(my $to, "| cat -v | no-such-spooler 2>/dev/null") or die "no process: $!\n";
        print $to "stuff\n"; close($to) or die "it ended with $?\n";""")
    assert "no-such-spooler" not in done.stderr


def test_netstat_is_read_as_perl_reads_it(example, perl, place):
    done = example("netstat.py")
    assert (done.returncode, done.stderr) == (0, "")
    theirs = perl(r"""open(my $from, "netstat -an 2>&1 |") or die "no process: $!\n";
        while (my $line = <$from>) { print $line unless $line =~ /^(?:tcp|udp)/ }
        close($from) or die "it ended with $?\n";""")
    assert (theirs.returncode, theirs.stderr) == (0, "")
    assert done.stdout == theirs.stdout == SHOWN + "lasta complaint\n"


def test_a_netstat_that_fails(example, place):
    done = example("netstat.py", NETSTAT_EXIT="3")
    assert (done.returncode, done.stdout) == (1, SHOWN + "lasta complaint\n")
    assert done.stderr == "bad netstat: [Errno 121] 'netstat' exited with status 3\n"


def test_backticks_and_grep(example, perl, place):
    theirs = perl(
        r"""my @lines = `netstat -an 2>&1`; die "$?\n" if $?; print grep !/^(?:tcp|udp)/, @lines;"""
    )
    assert theirs.stdout == SHOWN + "lasta complaint\n"
    for how in (), ("grep",):
        done = example("backticks.py", *how)
        assert (done.returncode, done.stdout, done.stderr) == (0, theirs.stdout, "")
        # perlipc's prints first.
        done = example("backticks.py", *how, NETSTAT_EXIT="3")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == "bad netstat: [Errno 121] 'netstat' exited with status 3\n"
    assert perl(r"""my @lines = `exit 3; netstat -an`; die "$?\n" if $?;""").returncode


def test_bogus_is_named_wherever_it_stands(example, perl):
    done = example("bogus.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == 2 * "[Errno 2] No such file or directory: start 'bogus'\n"
    # To Perl, all is well until the end, or it is not there to say so.
    done = perl(
        r"""open(my $to, "|bogus 2>/dev/null;") or die "open"; print $to "x\n" or die "print"; close($to);"""
    )
    assert "open" not in done.stderr
    assert "print" not in done.stderr
