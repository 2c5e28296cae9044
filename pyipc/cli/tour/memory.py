"""The stop of memory: shared by a descriptor, and safe from whoever has it."""

from __future__ import annotations

from pyipc import InUseError, fds
from pyipc.memory import Memory

from . import memory_partners as others
from .fds import pair
from .stage import Step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .stage import Stage

TITLE = "Memory: shared by a descriptor, without a name"


def share_numbers(stage: Stage) -> None:
    """Look at numbers while another process changes them."""
    memory = stage.held(Memory(4 * 1000))
    view = others.numbers(memory)
    for place in range(len(view)):
        view[place] = place
    before = sum(map(int, view))
    here, there = pair(stage)
    other = stage.python(others.double, there.fileno(), inherits=[there])
    there.close()
    fds.send(here, b"numbers", [memory], stage.left())
    stage.say("python", f"1000 numbers; their sum is {before}; sends the memory's descriptor")
    other.expect("doubled")
    other.end()
    stage.say(other, "doubles each of them")
    after = sum(map(int, view))
    stage.check(after == 2 * before, f"the sum is {after} now, not {2 * before}")
    stage.say("python", f"the sum is {after}")
    memory.close()
    stage.check(sum(map(int, view)) == after, "the view does not outlive the memory")
    stage.say("python", f"closes the memory; its view of it still says {after}")


def outlive_the_maker(stage: Stage) -> None:
    """Use memory whose maker was killed, and let it go."""
    text = "still here"
    here, there = pair(stage)
    other = stage.python(others.give_and_linger, there.fileno(), 1 << 20, text, inherits=[there])
    there.close()
    with fds.receive(here, timeout=stage.left()) as message:
        memory = stage.held(Memory.from_fd(message.fds[0]))
    stage.say(other, f'makes {memory.size >> 20} MiB, writes "{text}", sends it')
    other.kill()
    stage.say(other, "is killed")
    heard = memory.read(len(text)).decode()
    stage.check(heard == text, f"the memory says {heard!r}")
    stage.say("python", f'reads "{heard}"')
    stage.check(_mapped(), "it is not mapped here")
    memory.close()
    del message
    stage.check(not _mapped(), "it is still mapped here")
    stage.say("python", "closes it; nobody has it any more, and it never had a name to leave behind")


def _mapped() -> bool:
    with open("/proc/self/maps") as lines:
        return any("memfd:pyipc" in line for line in lines)


def fear_nobody(stage: Stage) -> None:
    """Share memory with a process that tries to pull it away, and then to change it."""
    memory = stage.held(Memory(1 << 20))
    here, there = pair(stage)
    other = stage.python(others.try_to_harm, there.fileno(), inherits=[there])
    there.close()
    fds.send(here, b"memory", [memory], stage.left())
    stage.say("python", "sends 1 MiB of memory")
    stage.say(other, f"tries to truncate it: {other.hear()}")
    other.expect("written")
    heard = memory.read(18)
    stage.check(heard == b"by whoever gets it", f"the memory says {heard!r}")
    stage.say(other, f'may write to it: "{heard.decode()}"')
    view = memory.buf
    try:
        memory.freeze()
    except InUseError:
        stage.say("python", "wants to freeze it, but looks at it through a view that can write: InUseError")
    else:
        stage.check(False, "it is frozen although somebody can write to it")
    del view
    memory.freeze()
    stage.say("python", "lets go of the view, freezes it, and sends it again")
    fds.send(here, b"memory", [memory], stage.left())
    other.go_on()
    other.expect("AccessError")
    other.end()
    stage.say(other, "tries to write to it: AccessError")


STEPS = [
    Step(
        "Memory without a name",
        "Memory behind a descriptor, which goes to another process over a socket. Both look at the same "
        "pages.",
        "The change is in our view: nothing was copied. A view lives for as long as somebody has it.",
        share_numbers,
    ),
    Step(
        "Its maker dies",
        "A process makes memory, sends it to us, and is killed with SIGKILL, so it cannot clean up.",
        "The memory lives while anybody has it, and is gone with the last.",
        outlive_the_maker,
    ),
    Step(
        "Nobody pulls it away",
        "Memory that shrinks under a reader would kill the reader (SIGBUS); memory that changes under a "
        "check cannot be trusted. Seals forbid both.",
        "The kernel keeps the promise, whoever has the descriptor.",
        fear_nobody,
    ),
]
