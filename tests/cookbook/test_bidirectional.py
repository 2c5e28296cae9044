"""perlipc's bidirectional programs: each example runs as it stands. Perl's own are the oracle."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import pyipc

EXAMPLES = Path(__file__).parents[2] / "docs" / "cookbook" / "bidirectional"

pytestmark = [
    pytest.mark.timeout(30),
    pytest.mark.skipif(not EXAMPLES.exists(), reason="the examples are in the repository"),
]

OPEN2 = r"""
use IPC::Open2;
my $pid = open2(my $from, my $to, qw(cat -u -n));
for my $word ("stuff", "more stuff") {
    print $to "$word\n";
    print "got ", <$from> =~ s/^\s+//r;
}
close($to);
waitpid($pid, 0);
exit($?);
"""
OPEN3 = r"""
use IPC::Open3; use IO::Select; use Symbol "gensym";
my ($in, $out, $err) = (undef, undef, gensym);
my $pid = open3($in, $out, $err, @ARGV);
print $in map { "word $_\n" } 0 .. 99;
close $in;
my $both = IO::Select->new($out, $err);
my %said;
while (my @ready = $both->can_read) {
    for my $one (@ready) {
        sysread($one, $said{$one}, 4096, length($said{$one} // "")) or $both->remove($one);
    }
}
print map { "out: $_\n" } split /\n/, $said{$out};
print map { "err: $_\n" } split /\n/, $said{$err};
waitpid $pid, 0; exit $?;
"""
ECHO = "sh", "-c", 'while read -r word; do echo "$word"; echo "heard $word" >&2; done'


def run(*words):
    environment = {**os.environ, "PYIPC_BACKEND": pyipc.backend(), "LC_ALL": "C"}
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=25)


def example(name, *arguments):
    return run(sys.executable, "-X", "dev", "-W", "error", EXAMPLES / name, *arguments)


def perl(program, *arguments):
    if not shutil.which("perl"):
        pytest.skip("perl is not installed")
    return run("perl", "-w", "-e", program, *arguments)


def test_open2_gets_what_perls_gets():
    done = example("open2.py")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "got 1\tstuff\ngot 2\tmore stuff\ngot stuff at the end\n"
    theirs = perl(OPEN2)
    assert (theirs.returncode, theirs.stderr) == (0, "")
    assert done.stdout.splitlines()[:2] == theirs.stdout.splitlines()


def by_channel(text):
    """Only within a channel there is an order."""
    return sorted(text.splitlines(), key=lambda line: line.startswith("err"))


def test_open3_gets_what_perls_gets():
    done = example("open3.py", "100", *ECHO)
    assert (done.returncode, done.stderr) == (0, "")
    assert by_channel(done.stdout) == [
        *(f"out: word {number}" for number in range(100)),
        *(f"err: heard word {number}" for number in range(100)),
    ]
    theirs = perl(OPEN3, *ECHO)
    assert (theirs.returncode, theirs.stderr) == (0, "")
    assert by_channel(done.stdout) == theirs.stdout.splitlines()


def test_open3_does_not_hang_where_both_would_write():
    noisy = (
        "import sys\nfor line in sys.stdin:\n"
        " print(line * 9, end='', flush=True); sys.stderr.write('x' * 99 + '\\n')"
    )
    done = example("open3.py", "20000", sys.executable, "-c", noisy)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines.count("err: " + "x" * 99) == 20_000
    assert [line for line in lines if line.startswith("out")][::9] == [
        f"out: word {n}" for n in range(20_000)
    ]


def test_open3_of_a_program_that_fails_or_is_not_there():
    done = example("open3.py", "1", "sh", "-c", "cat; echo so >&2; exit 7")
    assert done.returncode == 1
    assert sorted(done.stdout.splitlines()) == ["err: so", "out: word 0"]
    assert done.stderr == "[Errno 121] 'sh' exited with status 7\n"
    done = example("open3.py", "1", "no-such-program")
    assert (done.returncode, done.stdout) == (1, "")
    assert "'no-such-program'" in done.stderr


def test_comm_has_an_answer_to_each_line():
    done = example("comm.py")
    assert (done.returncode, done.stderr) == (0, "")
    got = [line.split() for line in done.stdout.splitlines()]
    assert got == [["got", "back", str(number), "a", "line"] for number in range(1, 11)]
