"""The network between a control process and the hosts: `ports.Transport` as the real one behaves, on messages that may
be lost, delayed, or arrive twice."""

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from sim_hosts import Frame, Host, Place
from sim_timeline import Life, Timeline

from opsflow.errors import Cancelled, Diverged, Interrupted, Refused, Unreachable
from opsflow.model import CommandResult, Operation, Recorded

SILENCE, PATIENCE, POLL = 15.0, 60.0, (0.3, 8.0)


class Lost(Exception):
    """The connection is of no use any more."""


class Network:
    """Carries messages.

    Attributes:
        loses, doubles, delays: How many messages suffer what.
    """

    def __init__(self, timeline: Timeline, dice: random.Random, tally: Counter[str]) -> None:
        self.loses = self.doubles = self.delays = 0.0
        self._timeline, self._dice, self._tally = timeline, dice, tally

    def calm(self) -> None:
        """From now on nothing is lost."""
        self.loses = self.doubles = self.delays = 0.0

    def carry(self, host: Host, action: Callable[[], None], *, back: bool = False) -> None:
        """Let a message arrive, if it does."""
        dice = self._dice
        if self.loses and dice.random() < self.loses:
            self._tally["message lost"] += 1
            return
        delay = 0.001 + dice.random() * 0.01
        if self.delays and dice.random() < self.delays:
            delay += dice.choice([1.0, 10.0, 40.0, 200.0])
            self._tally["message late"] += 1
        boot = host.boot

        def arrive() -> None:
            if host.answers and host.boot == boot:  # a connection does not outlive either of its ends
                action()
            else:
                self._tally["message to a host that was away or has restarted"] += 1

        self._timeline.after(delay, arrive)
        if not back and self.doubles and dice.random() < self.doubles:
            late = dice.choice([0.0, 0.1, 5.0, 70.0, 400.0])
            self._tally["message twice"] += 1
            self._timeline.after(delay + late, arrive)


class Link:
    """One host, as one control process reaches it."""

    def __init__(self, host: Host, life: Life, network: Network, timeline: Timeline, strand: Callable[[], Any]) -> None:
        self._host, self._life, self._network, self._timeline = host, life, network, timeline
        self._strand = strand
        self._claim = ("", 0)
        self._place: Place | None = None  # of the connection that there is
        self._opened = False

    # ports.Transport

    def reach(self) -> None:
        pass

    def identity(self) -> str:
        return self._host.name

    def close(self) -> None:
        self._place = None

    def claim(self, run: str, epoch: int) -> str:
        self._claim = (run, epoch)
        place = self._persist(self._connected)
        return json.dumps(place._asdict(), sort_keys=True)

    def run(
        self, command: str, *, timeout: float | None = None, op: Operation | None = None, sink: Any = None, **_: Any
    ) -> CommandResult:
        if op is None:
            return CommandResult(
                exit_status=0, stdout=self._persist(lambda: self._answer(lambda: self._host.read(command)))
            )
        frame = self._call(op, command, timeout)
        if "k" in frame.flag:
            raise Cancelled(f"{self._host.name}: the attempt was cancelled while the operation ran")
        if frame.out and sink:
            sink("stdout", frame.out)
        return CommandResult(exit_status=frame.status, stdout=frame.out, timed_out=frame.flag == "t")

    def record(self, op: Operation) -> Sequence[Recorded]:
        return self._persist(lambda: self._answer(lambda: self._host.record(op.record)))

    def fence(self, op: Operation, *, end: bool = False) -> None:
        try:
            while not self._fenced(op, end=end):
                self._timeline.wait(0.5)
                end = False
        except Lost as error:
            raise Unreachable(str(error)) from error

    def cancel(self, op: Operation) -> None:
        self.fence(op, end=True)

    def forget(self, attempts: Sequence[str]) -> None:
        pass

    def release(self) -> None:
        run, epoch = self._claim
        if run:
            self._network.carry(self._host, lambda: self._host.hello(run, epoch) and self._host.release(run, epoch))

    # Inside

    def _connected(self) -> Place:
        """The place at the other end of the connection, which is made if there is none."""
        if self._place is not None and self._holds:
            return self._place
        self._place = None
        if not self._host.answers:
            self._timeline.wait(3.0)
            raise Unreachable(f"{self._host.name}: no route to host")
        run, epoch = self._claim
        place = self._exchange(lambda: self._host.hello(run, epoch) or "stale")
        if place == "stale":
            raise Interrupted(f"{self._host.name}: a later session has taken over run {run}")
        self._place, self._opened = place, True
        return place

    @property
    def _holds(self) -> bool:
        """Whether the connection is what it was."""
        return self._place is not None and self._place.boot == str(self._host.boot)

    def _answer(self, message: Callable[[], Any]) -> Any:
        self._connected()
        return self._exchange(message)

    def _exchange(self, message: Callable[[], Any]) -> Any:
        """The answer to a message. Raises `Lost` if none comes."""
        strand, timeline, host, network = self._strand(), self._timeline, self._host, self._network
        self._life.boundary("before a message")
        timeline.rest(self._life)
        answers: list[Any] = []
        turn = strand.turn + 1

        def arrived(answer: Any) -> None:
            if not answers and strand.turn == turn:
                answers.append(answer)
                timeline.wake(strand)

        def reached() -> None:
            answer = message()
            network.carry(host, lambda: arrived(answer), back=True)

        network.carry(host, reached)
        timeline.wait(SILENCE)
        self._life.boundary("after a message")
        if not answers:
            self._place = None
            raise Lost(f"{host.name} does not answer")
        return answers[0]

    def _fenced(self, op: Operation, *, end: bool) -> bool:
        over = self._answer(lambda: (self._host.fence(op.record, self._claim, end=end),))[0]
        if over is None:
            raise Interrupted(f"{self._host.name}: a later session has taken over the run")
        return over

    def _call(self, op: Operation, command: str, timeout: float | None) -> Frame:
        """Have an operation done once, and follow it to its end."""
        patience = Patience(self._timeline)
        kept = Place(**json.loads(op.place)) if op.place else None
        begun, sent = kept is not None, False
        while True:
            try:
                place = self._connected()
                known = kept is None or kept == place
                frame = None
                if begun and (sent or not known):
                    frame = self._answer(lambda: self._host.ask(op))
                    if frame.kind == "N" and not known:
                        raise Interrupted(f"{self._host.name} has no record of the operation")
                again = sent
                if frame is None or frame.kind == "N":
                    begun, kept, sent = True, place, True
                    start = partial(self._host.start, op, command, timeout, self._claim)
                    frame = self._exchange(start)
                if frame.kind == "X":
                    raise (Interrupted if again else Refused)(f"{self._host.name}: no space left on device")
                return self._follow(op, frame)
            except (Lost, Unreachable) as error:
                if not sent and not self._opened:
                    raise Unreachable(str(error)) from error
                if patience.over():
                    if not sent:
                        raise Unreachable(str(error)) from error
                    raise Interrupted(f"the connection to {self._host.name} was lost: {error}") from error

    def _follow(self, op: Operation, frame: Frame) -> Frame:
        pause, unsigned = POLL[0], 0.0
        while frame.kind != "E":
            if frame.kind == "M":
                raise Diverged("the operation at this place of the attempt was another one")
            if frame.kind in "FL" or unsigned > 5.0:
                raise Interrupted(f"{self._host.name}: {frame.kind}")
            if frame.kind == "N":
                raise Lost("it is gone")
            if frame.kind == "G":
                unsigned += pause
            self._timeline.wait(pause)
            pause = min(pause * 2, POLL[1])
            if not self._holds:
                raise Lost("the connection was closed")
            frame = self._exchange(lambda: self._host.ask(op))
        return frame

    def _persist(self, work: Callable[[], Any]) -> Any:
        patience = Patience(self._timeline)
        while True:
            try:
                return work()
            except (Lost, Unreachable) as error:
                if not self._opened or patience.over():
                    raise Unreachable(str(error)) from error


class Patience:
    """For how long a connection that is lost is made again."""

    def __init__(self, timeline: Timeline) -> None:
        self._timeline, self._ends, self._pause = timeline, 0.0, 1.0

    def over(self) -> bool:
        """Whether it is; if not, waits a little."""
        self._ends = self._ends or self._timeline.now + PATIENCE
        if self._timeline.now > self._ends:
            return True
        self._timeline.wait(self._pause)
        self._pause = min(self._pause * 2, 5.0)
        return False


class Links:
    """All hosts, as one control process reaches them: `ports.Transports`."""

    def __init__(self, hosts: dict[str, Host], make: Callable[[Host], Link]) -> None:
        self._hosts, self._make = hosts, make
        self._made: dict[str, Link] = {}

    def to(self, host: str, become: str = "") -> Link:
        if host not in self._made:
            self._made[host] = self._make(self._hosts[host])
        return self._made[host]

    def release(self) -> None:
        for link in self._made.values():
            link.release()

    def close(self) -> None:
        for link in self._made.values():
            link.close()
