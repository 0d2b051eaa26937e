"""What befalls a run while a session works on it."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from sim_control import Control
from sim_grounds import RUN, Ground
from sim_hosts import Host
from sim_sessions import Session

from opsflow.errors import OpsflowError
from opsflow.journal import SqlJournal
from opsflow.model import Asked

DAY = 86400.0
_NAMES = {
    "request stop": "Ctrl-C",
    "stall": "process stopped for a while",
    "lose": "host away for a while",
    "jump": "clock jumps by a day",
}


@dataclass(slots=True, kw_only=True)
class Trouble:
    """Lets things go wrong, until it is over."""

    ground: Ground
    over: bool = False

    def begin(self, session: Session) -> None:
        """Decide what is to befall a session."""
        ground, dice = self.ground, self.ground.dice
        ground.network.loses = self._rare(0.3, [0.01, 0.05, 0.2])
        ground.network.doubles = self._rare(0.4, [0.05, 0.3])
        ground.network.delays = self._rare(0.3, [0.02, 0.1])
        ground.ledger.loses = self._rare(0.3, [0.05, 0.3])
        if dice.random() < 0.5:
            session.control.boundaries = 1 + int(120 * dice.random() ** 2)
        if dice.random() < 0.15:
            session.control.nap = (1 + int(80 * dice.random() ** 2), dice.choice([100.0, 2000.0]))
        faults = (ground.network.loses, ground.network.doubles, ground.network.delays, ground.ledger.loses)
        ground.tell(
            f"loses, doubles, delays messages; loses commits: {faults}; dies at {session.control.boundaries}, sleeps at {session.control.nap}"
        )
        self._perhaps(0.25, session.request_stop)
        self._perhaps(0.15, session.request_stop)
        self._perhaps(0.15, self._ask)
        self._perhaps(0.25, self._jump)
        self._perhaps(0.15, partial(self._stall, session.control))
        self._perhaps(0.1, self._lose_database)
        each = len(ground.hosts) ** -0.5
        for host in ground.hosts.values():
            self._perhaps(0.15 * each, partial(self._lose, host))
            self._perhaps(0.2 * each, partial(self._lose_power, host))
            self._perhaps(0.05 * each, partial(self._fill_disk, host))

    def end(self) -> None:
        """From now on all is well, a moment later at the latest."""
        self.over = True
        self.ground.network.calm()
        self.ground.ledger.calm()
        self.ground.clocks.ahead = 0.0

    def _rare(self, chance: float, values: list[float]) -> float:
        dice = self.ground.dice
        return dice.choice(values) if dice.random() < chance else 0.0

    def _perhaps(self, chance: float, action: Callable[[], None]) -> None:
        dice = self.ground.dice
        if dice.random() < chance:
            later = dice.choice([0.05, 0.3, 2.0, 30.0]) * dice.random()
            self.ground.timeline.after(later, lambda: None if self.over else self._befall(action))

    def _befall(self, action: Callable[[], None]) -> None:
        what = action.func if isinstance(action, partial) else action
        whom = [action.args[0].name] if isinstance(action, partial) else []
        name = what.__name__.strip("_").replace("_", " ")
        self.ground.tell(" ".join(["*", name, *whom]))
        if name in _NAMES:  # others are counted where they do something
            self.ground.tally[_NAMES[name]] += 1
        action()

    def _ask(self) -> None:
        """Somebody else asks for the run's end."""
        what, data = self.ground.dice.choice(
            [(Asked.PAUSE, {}), (Asked.CANCEL, {"kill": False}), *[(Asked.CANCEL, {"kill": True})] * 3]
        )

        def ask() -> None:
            try:
                heard = SqlJournal(self.ground.ledger).ask(RUN, what, data, "somebody")
            except OpsflowError:
                return
            kill = " --kill" if data.get("kill") else ""
            self.ground.tally[f"another process asks for {what}{kill}, of {'a living' if heard else 'no'} one"] += 1

        self.ground.timeline.begin(Control(self.ground.timeline, 1000, "desk"), ask)

    def _jump(self) -> None:
        day = self.ground.dice.choice([-DAY, DAY])
        if self.ground.dice.random() < 0.5:
            self.ground.clocks.ahead += day
        else:
            self.ground.ledger.ahead += day

    def _stall(self, control: Control) -> None:
        control.stalled = self.ground.timeline.now + self.ground.dice.choice([1.0, 20.0, 200.0, 2000.0])

    def _lose_database(self) -> None:
        self.ground.ledger.gone = self.ground.timeline.now + self.ground.dice.choice([0.2, 3.0, 30.0])

    def _lose(self, host: Host) -> None:
        host.away = self.ground.timeline.now + self.ground.dice.choice([0.5, 5.0, 30.0, 90.0])

    def _fill_disk(self, host: Host) -> None:
        host.full = self.ground.timeline.now + self.ground.dice.choice([0.5, 5.0, 30.0])

    def _lose_power(self, host: Host) -> None:
        dice = self.ground.dice
        host.lose_power(dice.choice([5.0, 50.0, 90.0]), records=dice.random() < 0.8)
