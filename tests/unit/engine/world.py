"""A world in which the engine's tests play: tasks that do what a test says, and remember what they did."""

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

from opsflow.app import resuming
from opsflow.app.driving import load
from opsflow.app.stored import StoredPlan
from opsflow.engine.executors import ThreadExecutor
from opsflow.engine.loop import Engine
from opsflow.engine.mark import mark_as_asked
from opsflow.engine.run import Run
from opsflow.engine.stop import Stop
from opsflow.engine.work import Worker
from opsflow.errors import HostsHeld, Interrupted, TaskFailed, Unreachable
from opsflow.inventory.static import StaticInventory
from opsflow.journal import SqlJournal, new_run_id
from opsflow.model import (
    Asked,
    Connection,
    Host,
    JobKind,
    Need,
    NodeRecord,
    NodeState,
    Playbook,
    Preview,
    RunRecord,
    RunState,
    Step,
)
from opsflow.plan import Plan, compile_plan
from opsflow.playbook import TemplateRenderer
from opsflow.transport.fake import FakeTransport


class Crash(BaseException):
    """The control process dies here."""


@dataclass
class World:
    """What is true outside, and what shall go wrong. Nodes are named by id."""

    applied: set = field(default_factory=set)
    log: list = field(default_factory=list)  # ("execute" | "revert", node), in the order of beginning
    ends: list = field(default_factory=list)
    fail: Counter = field(default_factory=Counter)  # node -> how many executes fail, after the effect
    fail_plan: set = field(default_factory=set)
    lose: set = field(default_factory=set)  # nodes whose link breaks in execute, after the effect
    unreachable: set = field(default_factory=set)
    fail_revert: Counter = field(default_factory=Counter)
    in_place: set = field(default_factory=set)  # nodes that need no change
    final: set = field(default_factory=set)  # nodes whose change says that it cannot be undone
    on_execute: Callable = lambda node: None  # called after the effect
    during: Callable = lambda ctx: None  # called before anything else, in execute and revert, by all nodes at once
    lock: threading.Lock = field(default_factory=threading.Lock)

    def plan(self, ctx):
        if ctx.node in self.fail_plan:
            return Preview.fail("cannot be")
        if ctx.node in self.in_place or ctx.node in self.applied:
            return Preview.unchanged("in place", outputs={"value": ctx.node})
        return Preview.change("do it", reversible=ctx.node not in self.final)

    def execute(self, ctx):
        self.during(ctx)
        with self.lock:
            self.log.append(("execute", ctx.node))
            if ctx.node in self.unreachable:
                raise Unreachable("no route")
            ctx.run("true")
            self.applied.add(ctx.node)
            self.ends.append(("execute", ctx.node))
            self.on_execute(ctx.node)
            if ctx.node in self.lose:
                self.lose.discard(ctx.node)
                raise Interrupted("link lost")
            if self.fail[ctx.node] > 0:
                self.fail[ctx.node] -= 1
                raise TaskFailed("as told")
        return {"value": ctx.node}

    def revert(self, ctx):
        self.during(ctx)
        with self.lock:
            self.log.append(("revert", ctx.node))
            if self.fail_revert[ctx.node] > 0:
                self.fail_revert[ctx.node] -= 1
                raise TaskFailed("stuck")
            self.applied.discard(ctx.node)
            self.ends.append(("revert", ctx.node))


class PlayTask:
    def __init__(self, name, world):
        self.name, self.world = name, world
        self.doc = self.source = ""
        self.digest = name
        self.idempotent = name == "again"
        self.has_plan = name != "blind"
        self.reversible = name != "firm"
        self.gate = name in {"ask", "approve"}

    def check(self, params, *, ignore=()):
        return []

    def local_paths(self, params, directory):
        return [str(Path(directory, params["file"]))] if "file" in params else []

    def schema(self):
        return {}

    def outputs(self):
        return None

    def plan(self, ctx, params):
        return self.world.plan(ctx) if self.has_plan else Preview.change("blindly")

    def execute(self, ctx, params, preview):
        return self.world.execute(ctx)

    def revert(self, ctx, params, preview, outputs):
        self.world.revert(ctx)


class PlayTasks:
    """`act` can be undone, `firm` cannot, `again` is idempotent, `blind` has no plan hook, `ask` and `approve` are gates."""

    def __init__(self, world):
        self.tasks = {name: PlayTask(name, world) for name in ("act", "firm", "again", "blind", "ask", "approve")}

    def names(self):
        return sorted(self.tasks)

    def get(self, name):
        return self.tasks.get(name)


class ShuffledExecutor:
    """Works on jobs in the engine's thread, in an order that a seed decides."""

    def __init__(self, perform, *, seed, width=4):
        self.perform, self.random, self.width = perform, random.Random(seed), width
        self.jobs = deque()
        self.worked = time.monotonic()

    @property
    def free(self):
        return self.width - len(self.jobs)

    def submit(self, job):
        self.jobs.append(job)

    def cancel(self, job):
        self.perform.cancel(job)

    def messages(self, timeout):
        found = []
        if self.jobs:
            self.jobs.rotate(self.random.randrange(len(self.jobs)))
            self.perform(self.jobs[0], found.append)
            self.jobs.popleft()
            self.worked = time.monotonic()
        else:
            assert time.monotonic() - self.worked < 60, "the engine waits for nothing"
            time.sleep(min(timeout, 0.02))
        return found

    def abandon(self):
        """The process is gone: some of what it had begun comes to pass all the same, and nobody hears of it."""
        for job in self.jobs:
            if job.kind in {JobKind.EXECUTE, JobKind.REVERT} and self.random.random() < 0.5:
                self.perform(job, lambda _: None)
        self.jobs.clear()

    def close(self):
        self.jobs.clear()


class MortalThreads(ThreadExecutor):
    """Threads whose process may die; threads of a test do not die with it."""

    def __init__(self, perform, *, forks):
        super().__init__(perform, forks=forks)
        self.dead = False

    def _work(self):
        while (job := self._jobs.get()) is not None and not self.dead:
            self._perform(job, self._messages.put)

    def abandon(self):
        """The process is gone: what it had begun comes to pass before the next one looks, and nothing else of it."""
        self.dead = True
        self.close()
        for thread in self._threads:
            thread.join()


class FakePool:
    def __init__(self):
        self.made = {}

    def to(self, host, become=""):
        return self.made.setdefault(host, FakeTransport(name=host, commands=[("true", "")]))

    def close(self):
        pass


def host(name, **variables):
    return Host(
        name=name, connection=Connection(transport="fake"), vars=variables, groups=tuple(variables.pop("groups", ()))
    )


def step(id, hosts="all", *, needs=None, task="act", **more):  # noqa: A002 - the playbook's word
    needed = None if needs is None else tuple(n if isinstance(n, Need) else Need(step=n) for n in needs)
    return Step(id=id, task=task, hosts=hosts, needs=needed, **more)


def make_plan(steps, hosts, world, *, flow="linear", extra=None, rollout=None, earlier=None) -> Plan:
    playbook = Playbook(name="test", steps=tuple(steps), flow=flow, directory=".", rollout=rollout)
    return plan_of(playbook, hosts, world, extra=extra, earlier=earlier)


def plan_of(playbook, hosts, world, *, extra=None, earlier=None) -> Plan:
    inventory = StaticInventory(path="test", digest="", hosts=hosts, groups=(), directory=Path())
    renderer = TemplateRenderer(directory=".", hosts=lambda p: [h.name for h in inventory.select(p)])
    return compile_plan(
        playbook, inventory, PlayTasks(world), renderer, inputs={}, extra=extra or {}, now=datetime.now(UTC),
        earlier=earlier,
    )  # fmt: skip


class Stage:
    """One plan, one world, one journal; sessions of the engine over them, each like a process of its own."""

    def __init__(self, tmp_path, plan, world):
        self.url = f"sqlite:///{tmp_path}/journal.db"
        self.plan, self.world = plan, world
        self.renderer = TemplateRenderer(directory=".", hosts=lambda _: [])
        self.events = []
        self.listeners = [self.events.append]
        self.run_id = None
        self.stop = Stop()
        self.approver = None
        self.pool = None  # hosts that outlast a session, and what is recorded on them

    def session(self, what, *, seed=0, crash_at=None, threads=False, new=None):
        """`new`: the plan that a resumed run goes on with."""
        journal = SqlJournal.open(self.url)
        if crash_at is not None:
            journal = CrashingJournal(journal, crash_at)
        try:
            run = self._begin(journal) if what == "apply" else self._load(journal, new)
            self.plan = run.plan
            worker = Worker(
                tasks=PlayTasks(self.world),
                transports=self.pool or FakePool(),
                renderer=self.renderer,
                secret=lambda n: n,
            )
            executor = MortalThreads(worker, forks=4) if threads else ShuffledExecutor(worker, seed=seed)
            self.executor = executor
            more = {"stop": self.stop, "approver": self.approver}
            engine = Engine(run, executor=executor, journal=journal, renderer=self.renderer, **more)
            self.run = run
            return getattr(engine, what)()
        finally:
            journal.close()

    def apply(self, **more):
        return self.session("apply", **more)

    def resume(self, **more):
        return self.session("resume", **more)

    def rollback(self, **more):
        return self.session("rollback", **more)

    def states(self):
        """States of nodes as a fresh reader of the journal sees them."""
        journal = SqlJournal.open(self.url)
        try:
            return {n.id: n.state for n in journal.nodes(self.run_id)}
        finally:
            journal.close()

    def listen(self, listener):
        self.listeners.append(listener)

    def holds(self):
        """Hosts that the journal keeps other runs from."""
        with closing(SqlJournal.open(self.url)) as journal:
            record = replace(journal.find(self.run_id), id=new_run_id(datetime.now(UTC)), state=RunState.PLANNED)
            try:
                journal.begin(record, self.plan.to_json(), [], list(self.plan.hosts))
            except HostsHeld as held:
                return set(held.holders)
            journal.leave(record.id, release_hosts=True)
            return set()

    def run_state(self):
        return self.record().state

    def exit_code(self):
        return self.record().exit_code

    def record(self):
        journal = SqlJournal.open(self.url)
        try:
            return journal.find(self.run_id)
        finally:
            journal.close()

    def mark(self, node, verdict, **more):
        """Mark a node of the run that nobody drives; what was answered."""
        data = {"node": node, "verdict": verdict, "why": "seen", **more}
        with self._taken_over(Asked.MARK, data) as (journal, run, request):
            answer = mark_as_asked(run, request)
            run.answer(request, answer)
            run.flush()
            journal.leave(self.run_id, release_hosts=False)
            return answer

    def kill(self):
        """End what earlier sessions left at work; nodes whose host does not answer."""
        with self._taken_over(Asked.CANCEL, {"kill": True}) as (journal, run, request):
            worker = Worker(tasks=PlayTasks(self.world), transports=self.pool, renderer=self.renderer, secret=str)
            executor = ShuffledExecutor(worker, seed=0)
            engine = Engine(run, executor=executor, journal=journal, renderer=self.renderer, stop=Stop())
            return engine.cancel(request)

    @contextmanager
    def _taken_over(self, asked, data):
        with closing(SqlJournal.open(self.url)) as journal:
            run = self._load(journal)
            number = journal.ask(self.run_id, asked, data, "ops@far")
            yield journal, run, next(r for r in journal.requests(self.run_id) if r.id == number)

    def ask(self, asked, **data):
        """Ask whoever drives the run."""
        journal = SqlJournal.open(self.url)
        try:
            return journal.ask(self.run_id, asked, data, "ops@far")
        finally:
            journal.close()

    def answers(self):
        journal = SqlJournal.open(self.url)
        try:
            return [r.answer for r in journal.requests(self.run_id)]
        finally:
            journal.close()

    def node(self, name):
        journal = SqlJournal.open(self.url)
        try:
            return next(n for n in journal.nodes(self.run_id) if n.id == name)
        finally:
            journal.close()

    def _begin(self, journal):
        now = datetime.now(UTC)
        self.run_id = new_run_id(now)
        record = RunRecord(
            id=self.run_id, state=RunState.PLANNED, playbook="test", inventory="test", fingerprint="",
            command="apply", operator="test", started=now,
        )  # fmt: skip
        nodes = [
            NodeRecord(id=n.id, step=n.step, host=n.host, task="act", state=NodeState.PENDING) for n in self.plan.nodes
        ]
        journal.begin(record, self.plan.to_json(), nodes, list(self.plan.hosts))
        return Run(record, self.plan, journal, self.listeners)

    def _load(self, journal, new=None):
        stored = StoredPlan.of(self.run_id, journal)
        follows = resuming._following(stored, new) if new else stored
        journal.resume(self.run_id, "test")
        run = load(journal.find(self.run_id), follows, self.listeners)
        if new:
            resuming._replan(run, stored, new, [])
        return run

    def stored_plan(self):
        """The plan that the journal says the run follows."""
        with closing(SqlJournal.open(self.url)) as journal:
            return StoredPlan.of(self.run_id, journal).plan


class CrashingJournal:
    """A journal whose process dies at the n-th commit: just before it, or just after it."""

    def __init__(self, journal, at):
        self._journal, self._left = journal, at

    def __getattr__(self, name):
        return getattr(self._journal, name)

    def commit(self, run_id, changes):
        self._left -= 0.5
        if self._left <= 0:
            raise Crash
        self._journal.commit(run_id, changes)
        self._left -= 0.5
        if self._left <= 0:
            raise Crash
