"""What a process does with the run, as the commands do it: apply, resume, rollback, cancel --kill, mark."""

from dataclasses import dataclass, field

from greenlet import getcurrent
from sim_clocks import BEGIN
from sim_control import Control, Hands
from sim_grounds import RUN, Ground
from sim_links import Link, Links
from sim_plans import RENDERER
from sim_witness import Ears

from opsflow.app.asking import own_request
from opsflow.app.refusals import refuse_ended, refuse_rolled_back
from opsflow.engine.loop import Engine
from opsflow.engine.mark import mark_as_asked
from opsflow.engine.run import Run
from opsflow.engine.stop import Stop
from opsflow.engine.work import Worker
from opsflow.errors import InputError, JournalConflict, OpsflowError
from opsflow.events import Event
from opsflow.journal import SqlJournal
from opsflow.model import Asked, NodeRecord, NodeState, RunRecord, RunState
from opsflow.plan import Plan

OVER = {RunState.SUCCEEDED, RunState.ROLLED_BACK}
LARGE = 30
"""Nodes of a plan that is not read again by each session: that takes long."""


@dataclass(slots=True, kw_only=True)
class Session:
    """One process and its command.

    Attributes:
        mark: For `mark`: node and verdict.
        code: What it exited with; None: it died, or was refused.
        refused: Why it could not.
        took: It became the run's writer.
    """

    ground: Ground
    control: Control
    what: str
    mark: tuple[str, str] = ("", "")
    stop: Stop = field(default_factory=Stop)
    code: int | None = None
    refused: OpsflowError | None = None
    took: bool = False
    hands: Hands | None = None

    def live(self) -> None:
        """All that the process does."""
        ground = self.ground
        ground.tell(f"{self.control.name}: {self.what} {' '.join(self.mark)}")
        journal = SqlJournal(ground.ledger)
        try:
            self._work(journal)
        except JournalConflict as error:
            self.refused = error
            ground.tally["write refused, as another process had taken over"] += 1
            if ground.ledger.epoch <= self.control.epoch:
                ground.witness.wrong.append(f"{self.control.name} lost the run to nobody: {error}")
        except OpsflowError as error:
            self.refused = error
        if not self.control.dead:
            journal.close()
        self.control.dead = True
        ground.tell(f"{self.control.name}: ends with {self.code if self.refused is None else repr(self.refused)}")

    def request_stop(self) -> None:
        """Press Ctrl-C."""
        self.stop.request()
        if self.hands:
            self.hands.wake()

    def _work(self, journal: SqlJournal) -> None:
        ground, control = self.ground, self.control
        run = self._begun(journal) if self.what == "apply" else self._taken(journal)
        self.took = True
        control.epoch = journal.epoch(RUN)
        if self.what == "mark":
            self._mark(run, journal)
            return
        links = Links(ground.hosts, lambda host: Link(host, control, ground.network, ground.timeline, getcurrent))
        worker = Worker(tasks=ground.tasks, transports=links, renderer=RENDERER, secret=str)
        self.hands = Hands(worker, control, ground.timeline, ground.dice)
        engine = Engine(run, executor=self.hands, journal=journal, renderer=RENDERER, stop=self.stop)
        if self.what == "kill":
            engine.cancel(own_request(journal, RUN, Asked.CANCEL, {"kill": True}))
            return
        self.code = getattr(engine, self.what)()
        if run.state in OVER:
            links.release()

    def _begun(self, journal: SqlJournal) -> Run:
        plan = self.ground.plan
        record = RunRecord(
            id=RUN, state=RunState.PLANNED, playbook="test", inventory="test", fingerprint="", command="apply",
            operator="test", started=BEGIN,
        )  # fmt: skip
        nodes = [NodeRecord(id=n.id, step=n.step, host=n.host, task="act", state=NodeState.PENDING) for n in plan.nodes]
        journal.begin(record, plan.to_json(), nodes, list(plan.hosts))
        return Run(record, plan, journal, [self._ears(set())])

    def _taken(self, journal: SqlJournal) -> Run:
        journal.resume(RUN, "test", hold=self.what != "mark")
        if any(not life.dead and life is not self.control and life.epoch for life in self.ground.controls):
            self.ground.tally["run taken over from a process that sleeps"] += 1
        record = journal.find(RUN)
        try:
            self._refuse(record)
        except InputError:
            journal.leave(RUN, release_hosts=record.state in OVER and self.what != "mark")
            raise
        plan = self.ground.plan
        if len(plan.nodes) < LARGE:
            plan = Plan.from_json(journal.plan(RUN))
        rollbacks = journal.rollbacks(RUN)
        ears = self._ears({r.scope for r in rollbacks})
        return Run(record, plan, journal, [ears], nodes=journal.nodes(RUN), rollbacks=rollbacks)

    def _refuse(self, record: RunRecord) -> None:
        if self.what == "resume":
            refuse_ended(record)
        elif self.what == "rollback":
            refuse_rolled_back(record)
        elif record.state in OVER:
            raise InputError(f"the run is {record.state}")

    def _mark(self, run: Run, journal: SqlJournal) -> None:
        node, verdict = self.mark
        request = own_request(journal, RUN, Asked.MARK, {"node": node, "verdict": verdict, "why": "seen"})
        answer = mark_as_asked(run, request)
        self.ground.tally[f"node marked {answer.get('state', 'in vain')}"] += 1
        run.answer(request, answer)
        run.flush()
        journal.leave(RUN, release_hosts=False)

    def _ears(self, closed: set[str]) -> Ears:
        ground = self.ground

        def tell(event: Event) -> None:
            if ground.story:
                ground.tell(f"  {_words(event)}")

        return Ears(ground.plan, ground.scopes, closed, ground.witness.wrong, tell, ground.tally)


def _words(event: Event) -> str:
    names = ("node", "phase", "n", "scope", "nodes", "running", "state", "exit_code", "summary")
    said = (f"{name}={getattr(event, name)}" for name in names if getattr(event, name, None) not in (None, ""))
    error = getattr(event, "error", None)
    return " ".join([type(event).__name__, *said, f"error={error.message}" if error else ""])
