"""The protocol of csrc/channel.c, and of what is kept: every interleaving of its steps, and every death.

A step here is what others can see as one: taking a guard, a store, a look, a write to a pipe, a drain.
Between any two of them, any other process may go on, and any process may be killed. What memory order
adds to that is not here: the guards and counters are ordered (tests/c/test_channel_threads.c).
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

SENDERS, RECEIVERS = 0, 1
ENDED = "done", "gone", "dead"  # has sent all; sees that the other side is gone; was killed


class Side(NamedTuple):
    """What the processes of one side write, and the pipe that the other side sleeps at."""

    guard: int | None = None
    flag: bool = False
    tokens: int = 0
    count: int = 0


class Process(NamedTuple):
    side: int
    at: str = "lock"
    left: int = 0  # messages that it still has to send
    keeps: bool = False  # a message, which another gets if it dies


class State(NamedTuple):
    sides: tuple[Side, Side]
    processes: tuple[Process, ...]
    kills: int
    returns: int = 0  # how often somebody may still return what it keeps
    returned: int = 0  # messages that nobody has, and that no death has brought back
    released: int = 0


class WrongError(Exception):
    """A state that must not be."""


class Protocol:
    """Processes at a ring of so many slots; `mutation` names what is done wrong.

    With `idle`, somebody holds all ends of the pipes open for ever, and does nothing. With `returns`,
    receivers keep what they take until they release it, or return it, so often in all.
    """

    def __init__(
        self, senders, receivers, messages, slots, kills, *, idle=False, returns=None, mutation=None
    ):
        self.slots = slots
        self.idle = idle
        self.acknowledges = returns is not None
        self.mutation = mutation
        processes = [Process(SENDERS, left=messages)] * senders + [Process(RECEIVERS)] * receivers
        # The creator puts a token where senders wait for room.
        self.first = State((Side(), Side(flag=True, tokens=1)), tuple(processes), kills, returns or 0)

    # ---- one step ----

    def is_ready(self, state, side):
        waiting = state.sides[SENDERS].count - state.sides[RECEIVERS].count
        return waiting < self.slots if side == SENDERS else waiting > 0

    def all_ended(self, state, side):
        return not self.idle and all(one.at in ENDED for one in state.processes if one.side == side)

    def can_take(self, state, guard):
        if guard is None:
            return True
        return state.processes[guard].at == "dead" and self.mutation != "nothing is taken from the dead"

    def steps(self, state):
        """All states that a step of a process leads to."""
        for number, process in enumerate(state.processes):
            if process.at not in ENDED:
                step = getattr(self, process.at)
                yield from step(state, number, process)

    def deaths(self, state):
        if state.kills:
            for number, process in enumerate(state.processes):
                if process.at not in ENDED:
                    # Who dies before it has told of a return is found as the dead are.
                    untold = process.at.startswith("tell")
                    yield self.move(
                        state, number, "dead", keeps=process.keeps or (untold and state.returned > 0)
                    )._replace(
                        kills=state.kills - 1, returned=state.returned - (untold and state.returned > 0)
                    )

    def move(self, state, number, to, *, left=None, keeps=None, side=None, **changes):
        """The process goes on to another place; what is said of a side changes."""
        processes = list(state.processes)
        process = processes[number]
        processes[number] = process._replace(
            at=to,
            left=process.left if left is None else left,
            keeps=process.keeps if keeps is None else keeps,
        )
        sides = list(state.sides)
        if changes:
            sides[side] = sides[side]._replace(**changes)
        return state._replace(sides=tuple(sides), processes=tuple(processes))

    # ---- send and receive: under the guard of one's own side ----

    def lock(self, state, number, process):
        if self.can_take(state, state.sides[process.side].guard):
            yield self.move(state, number, "look", side=process.side, guard=number)

    def look(self, state, number, process):
        dead = self.dead_keeper(state)
        if process.side == RECEIVERS and state.returned:
            yield self.move(state, number, "unlock", keeps=True)._replace(returned=state.returned - 1)
        elif process.side == RECEIVERS and dead is not None:
            yield self.move(self.move(state, dead, "dead", keeps=False), number, "unlock", keeps=True)
        elif not self.is_ready(state, process.side):
            yield self.move(state, number, "give_up", side=process.side)
        elif self.mutation == "commit before token":
            yield self.move(state, number, "commit")
        else:
            yield self.move(state, number, "token")

    def token(self, state, number, process):
        side = state.sides[process.side]
        after = "unlock" if self.mutation == "commit before token" else "commit"
        if side.flag:
            yield self.move(state, number, after)
        elif self.mutation == "flag before token":
            yield self.move(state, number, "late_token", side=process.side, flag=True)
        else:
            # More than three are like three.
            yield self.move(state, number, "flag", side=process.side, tokens=min(side.tokens + 1, 3))

    def late_token(self, state, number, process):
        tokens = min(state.sides[process.side].tokens + 1, 3)
        yield self.move(state, number, "commit", side=process.side, tokens=tokens)

    def flag(self, state, number, process):
        after = "unlock" if self.mutation == "commit before token" else "commit"
        yield self.move(state, number, after, side=process.side, flag=True)

    def commit(self, state, number, process):
        after = "token" if self.mutation == "commit before token" else "unlock"
        count = state.sides[process.side].count + 1
        keeps = self.acknowledges and process.side == RECEIVERS
        yield self.move(state, number, after, keeps=keeps, side=process.side, count=count)

    def unlock(self, state, number, process):
        left = max(process.left - 1, 0)
        to = "done" if process.side == SENDERS and not left else "keep" if process.keeps else "lock"
        yield self.move(state, number, to, left=left, side=process.side, guard=None)

    def give_up(self, state, number, process):
        yield self.move(state, number, "arm", side=process.side, guard=None)

    # ---- what is kept ----

    def dead_keeper(self, state):
        """Somebody who has died with a message."""
        return next((n for n, one in enumerate(state.processes) if one.at == "dead" and one.keeps), None)

    def keep(self, state, number, process):
        yield self.move(state, number, "lock", keeps=False)._replace(released=state.released + 1)
        if state.returns:
            given = self.move(state, number, "tell", keeps=False)
            yield given._replace(returned=state.returned + 1, returns=state.returns - 1)

    def tell(self, state, number, process):
        if self.can_take(state, state.sides[SENDERS].guard):
            yield self.move(state, number, "tell_token", side=SENDERS, guard=number)

    def tell_token(self, state, number, process):
        side = state.sides[SENDERS]
        if side.flag:
            yield self.move(state, number, "tell_unlock")
        else:
            yield self.move(state, number, "tell_flag", side=SENDERS, tokens=min(side.tokens + 1, 3))

    def tell_flag(self, state, number, process):
        yield self.move(state, number, "tell_unlock", side=SENDERS, flag=True)

    def tell_unlock(self, state, number, process):
        yield self.move(state, number, "lock", side=SENDERS, guard=None)

    # ---- to fall asleep: under the guard of the others ----

    def arm(self, state, number, process):
        others = 1 - process.side
        if self.mutation == "drain without the guard":
            yield self.move(state, number, "look_again")
        elif self.can_take(state, state.sides[others].guard):
            yield self.move(state, number, "look_again", side=others, guard=number)

    def look_again(self, state, number, process):
        to = "clear" if self.mutation != "drain before flag" else "drain"
        returned = (
            process.side == RECEIVERS and state.returned and self.mutation != "sleep on what was returned"
        )
        yield self.move(state, number, "back" if returned or self.is_ready(state, process.side) else to)

    def clear(self, state, number, process):
        to = "drain" if self.mutation != "drain before flag" else "to_sleep"
        yield self.move(state, number, to, side=1 - process.side, flag=False)

    def drain(self, state, number, process):
        to = "to_sleep" if self.mutation != "drain before flag" else "clear"
        yield self.move(state, number, to, side=1 - process.side, tokens=0)

    def back(self, state, number, process):
        yield self.let_go(state, number, process, "lock")

    def to_sleep(self, state, number, process):
        yield self.let_go(state, number, process, "asleep")

    def let_go(self, state, number, process, to):
        if self.mutation == "drain without the guard":
            return self.move(state, number, to)
        return self.move(state, number, to, side=1 - process.side, guard=None)

    def asleep(self, state, number, process):
        others = 1 - process.side
        if state.sides[others].tokens:
            yield self.move(state, number, "lock")
        elif process.side == RECEIVERS and self.dead_keeper(state) is not None:
            yield self.move(state, number, "lock")  # it looks, once a second
        elif self.all_ended(state, others) and not self.others_keep(state, process):
            yield self.move(state, number, "last_look" if process.side == RECEIVERS else "gone")

    def others_keep(self, state, process):
        """Whether a message may come back."""
        if process.side == SENDERS or self.mutation == "the end does not wait for what is kept":
            return False
        return state.returned or any(one.keeps for one in state.processes)

    def last_look(self, state, number, process):
        yield self.move(state, number, "lock" if self.is_ready(state, process.side) else "gone")

    # ---- all of it ----

    def check(self, state):
        if self.mutation:  # is to be found by where it leads
            return
        for side in state.sides:
            if side.flag and not side.tokens:
                raise WrongError("the flag says that there is a token", state)
        telling = any(one.at.startswith("tell") for one in state.processes)
        if state.returned and not telling and not state.sides[SENDERS].tokens:
            raise WrongError("fileno() does not say that something was returned", state)
        for side in SENDERS, RECEIVERS:
            if self.is_ready(state, side) and not state.sides[1 - side].tokens:
                raise WrongError("fileno() does not say that something is ready", state)

    def may_stop(self, state):
        """Whether nothing is left to do, or only to wait for somebody who does nothing."""
        return all(
            one.at in ENDED or (self.idle and one.at == "asleep" and not self.is_ready(state, one.side))
            for one in state.processes
        )

    def check_end(self, state):
        """All that was sent was released once, by somebody, if anybody lives to do so."""
        lives = any(one.side == RECEIVERS and one.at != "dead" for one in state.processes)
        if self.acknowledges and lives and state.released != state.sides[SENDERS].count:
            raise WrongError("a message was lost, or came twice", state)

    def explore(self):
        """Visit every state; how many there are."""
        before = {self.first: []}
        todo = deque(before)
        ends = []
        while todo:
            state = todo.popleft()
            self.check(state)
            following = list(self.steps(state))
            if not following:
                if not self.may_stop(state):
                    raise WrongError("they wait for each other", state)
                self.check_end(state)
                ends.append(state)
            for new in following:
                if new not in before:
                    before[new] = []
                    todo.append(new)
                before[new].append(state)
            for new in self.deaths(state):
                if new not in before:
                    before[new] = []
                    todo.append(new)
        self._reaches_an_end(before, ends)
        return len(before)

    def _reaches_an_end(self, before, ends):
        """From each state, without more deaths: else some could go round and round."""
        reached = set(ends)
        todo = deque(ends)
        while todo:
            for state in before[todo.popleft()]:
                if state not in reached:
                    reached.add(state)
                    todo.append(state)
        if len(reached) < len(before):
            raise WrongError("they never end", next(state for state in before if state not in reached))
