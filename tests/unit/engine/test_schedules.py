"""Random plans, faults, schedules, stops and deaths of the control process; what must hold in every one of them.

OPSFLOW_SEEDS=N plays N of them; a failure names its seed.
"""

import os
import random
import shutil
import time
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import replace

import pytest
from world import Crash, Stage, World, host, make_plan, step

from opsflow.app import resuming
from opsflow.app.stored import StoredPlan
from opsflow.engine import reverting
from opsflow.engine.graph import Spread
from opsflow.engine.scopes import Scopes
from opsflow.engine.stop import Stop
from opsflow.errors import InputError
from opsflow.events import NodeFinished, NodeRetrying, NodeStarted, RollbackBegan, RunStarted
from opsflow.journal import SqlJournal
from opsflow.model import (
    SCOPE_RUN,
    AttemptState,
    Irreversible,
    Need,
    NodeState,
    OnFailure,
    OnUnknown,
    Phase,
    Retry,
    Rollout,
    RunState,
)

SEEDS = int(os.environ.get("OPSFLOW_SEEDS", "300"))
CHUNKS = 6
GOOD = {NodeState.SUCCEEDED, NodeState.UNCHANGED, NodeState.SKIPPED}
BUSY = {NodeState.RUNNING, NodeState.REVERTING}
OVER = {RunState.SUCCEEDED, RunState.ROLLED_BACK, RunState.ROLLBACK_INCOMPLETE}
SESSIONS = 14


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(reverting, "_ONCE_MORE", Retry(attempts=2))


class Watch(World):
    """Checks, at the moment of acting, that the graph and the journal permit it.

    What it finds is kept: raised in a hook it would only be one more task that failed.
    """

    pause = staticmethod(lambda: None)

    def watch(self, stage, strict):
        self.stage, self.strict = stage, strict
        self.followed = []
        self.follow(stage.plan)
        self.wrong = []
        return self

    def follow(self, plan):
        self.plan_, self.spread = plan, Spread(plan)
        self.followed.append((plan, self.spread))

    def execute(self, ctx):
        self.pause()
        known = self.records()
        last = known[ctx.node].attempts[-1]
        if (last.phase, last.state) != (Phase.EXECUTE, AttemptState.RUNNING):
            self.wrong.append(f"{ctx.node} acts without an intent")
        for need in self.plan_.needs_of(ctx.node):
            if ctx.node in self.spread.dependants([need]) and known[need].state not in GOOD:
                self.wrong.append(f"{ctx.node} began while {need} was {known[need].state}")
        if ctx.node in self.plan_.batch_of:
            self.in_turn(ctx.node, known)
        busy = [n for n in known if n not in self.plan_.at_end and known[n].state in BUSY]
        if ctx.node in self.plan_.at_end and busy:
            self.wrong.append(f"{ctx.node} began before the end: {busy}")
        return super().execute(ctx)

    def in_turn(self, node, known):
        before = [n for batch in self.plan_.by_batch[: self.plan_.batch_of[node] - 1] for n in batch]
        early = [n for n in before if known[n].state in {NodeState.PENDING, NodeState.RUNNING}]
        if early:
            self.wrong.append(f"{node} began before earlier batches were over: {early}")

    def revert(self, ctx):
        self.pause()
        known = self.records()
        running = [a for a in known[ctx.node].attempts if a.state is AttemptState.RUNNING]
        if [a.phase for a in running] != [Phase.REVERT]:
            self.wrong.append(f"{ctx.node} is reverted without an intent, or beside another attempt")
        if self.strict:
            after = [d for d in self.spread.dependants([ctx.node]) if d in self.applied and d not in self.in_place]
            # In a later plan only what has begun is still behind a barrier, and a revert would spread further.
            first = next(spread for plan, spread in self.followed if ctx.node in plan.by_id)
            after = [d for d in after if d in first.dependants([ctx.node])]
            if after:
                self.wrong.append(f"{ctx.node} reverted before {after}")
        super().revert(ctx)

    def records(self):
        return {n.id: n for n in self.stage.reader.nodes(self.stage.run_id)}


class Ears:
    """Checks what the events tell."""

    def __init__(self, stage, world):
        self.stage, self.world = stage, world
        self.at_work = defaultdict(set)
        self.closed = set()

    def session(self):
        self.scopes = Scopes(self.stage.plan, self.stage.renderer)
        self.at_work.clear()
        self.closed = {r.scope for r in self.stage.reader.rollbacks(self.stage.run_id)} if self.stage.run_id else set()

    def __call__(self, event):
        if isinstance(event, RunStarted):  # by another plan, maybe
            self.world.follow(self.stage.run.plan)
            self.scopes = Scopes(self.stage.run.plan, self.stage.renderer)
        elif isinstance(event, RollbackBegan):
            self.closed.add(event.scope)
            if at_end := self.stage.plan.at_end.intersection(event.nodes):
                self.world.wrong.append(f"{at_end} are rolled back")
        elif isinstance(event, NodeStarted):
            self.started(event)
        elif isinstance(event, NodeFinished | NodeRetrying):
            self.at_work[event.node.split("@")[0]].discard(event.node)

    def started(self, event):
        name = event.node.split("@")[0]
        self.at_work[name].add(event.node)
        most = self.stage.plan.steps[name].at_once
        if most and len(self.at_work[name]) > most:
            self.world.wrong.append(f"{self.at_work[name]} at once")
        if event.node in self.stage.plan.at_end:
            return
        if event.phase is Phase.EXECUTE and {SCOPE_RUN, self.scopes.of(event.node)} & self.closed:
            self.world.wrong.append(f"{event.node} goes forward in a scope that was rolled back")


def random_steps(dice, names):
    tasks = dice.choice([["act"], ["act", "again"], ["act", "firm"], ["act", "blind", "again"]])
    steps = []
    for i in range(dice.randint(1, 6)):
        steps.append(random_step(dice, f"s{i}", steps, names, tasks))
    return steps


def random_step(dice, name, before, names, tasks):
    at_end = dice.random() < 0.2
    task = dice.choice(tasks)
    return step(
        name,
        needs=random_needs(dice, before, at_end), hosts=random_hosts(dice, names), task=task,
        run_once=dice.random() < 0.1,
        when="host != 'h1'" if dice.random() < 0.1 else None,
        rollback_scope=dice.choice(["run", "host", "host", "shard"]),
        on_failure=random_rule(dice),
        on_unknown=OnUnknown.RERUN if task == "again" else dice.choice([OnUnknown.ASK, OnUnknown.REVERT]),
        irreversible=dice.choice([Irreversible.STOP, Irreversible.ALLOW]),
        at_end=at_end, retry=random_retry(dice, task), at_once=dice.choice([None, None, 1]),
    )  # fmt: skip


def random_needs(dice, before, at_end):
    earlier = [s.id for s in before if s.at_end is at_end]
    return tuple(
        Need(step=e, per=dice.choice([None, "all", "host", "shard"]), optional=True)
        for e in dice.sample(earlier, dice.choice([0, 1, 1, 2]) if len(earlier) > 1 else len(earlier))
    )


def random_hosts(dice, names):
    return dice.choice(["all", "all", dice.choice(names), ",".join(dice.sample(names, min(2, len(names))))])


def random_rule(dice):
    return dice.choice([OnFailure.ROLLBACK] * 4 + [OnFailure.HALT, OnFailure.CONTINUE])


def random_retry(dice, task):
    attempts = dice.choice([1, 1, 2])
    if dice.random() < 0.6:
        return Retry(attempts=attempts)
    values = dice.choice([["x"], ["x", "y"], "{{ ['x', 'y'] }}"])
    return Retry(
        attempts=dice.choice([0, attempts]),
        vary={"given": values},
        revert_between=task != "firm" and dice.random() < 0.7,
    )


class Files:
    """What a playbook and its inventory say, and how somebody changes them."""

    def __init__(self, dice):
        self.dice, self.made = dice, 0
        self.hosts = [host(f"h{i}", shard=dice.choice(["a", "b", ["a", "b"]])) for i in range(dice.randint(1, 4))]
        self.steps = random_steps(dice, self.names)
        self.rollout = None

    @property
    def names(self):
        return [h.name for h in self.hosts]

    def plan(self, world, earlier=None):
        more = {"flow": "graph", "earlier": earlier}
        try:
            return make_plan(self.steps, self.hosts, world, rollout=self.rollout, **more)
        except InputError:
            if earlier:
                raise
            self.rollout = None  # something that is not rolled would be in between, or a need would lead back
            return make_plan(self.steps, self.hosts, world, **more)

    def change(self):
        for _ in range(self.dice.choice([1, 1, 2, 3])):
            change = self.dice.choice(
                [self.insert, self.insert, self.remove, self.alter, self.alter, self.alter, self.move]
            )
            change(self.dice.randrange(len(self.steps)))

    def roll(self):
        dice = self.dice
        by = dice.choice(["shard", "host"])
        self.rollout = Rollout(
            by=by,
            hosts="all" if by == "host" else "",
            batches=dice.choice([(1,), (1,), (1, "50%"), ("30%",)]),
            max_failures=dice.choice([0, 0, 1, "50%"]),
        )

    def insert(self, at):
        self.made += 1
        tasks = sorted({s.task for s in self.steps})
        new = random_step(self.dice, f"n{self.made}", self.steps[:at], self.names, tasks)
        self.steps.insert(at, new)
        behind = [i for i, s in enumerate(self.steps) if i > at and s.at_end is new.at_end]
        for i in behind:
            if self.dice.random() < 0.5:
                self.steps[i] = replace(self.steps[i], needs=(*self.steps[i].needs, Need(step=new.id, optional=True)))

    def remove(self, at):
        if len(self.steps) > 1:
            gone = self.steps.pop(at).id
            self.steps = [replace(s, needs=tuple(n for n in s.needs if n.step != gone)) for s in self.steps]

    def alter(self, at):
        dice, old = self.dice, self.steps[at]
        self.steps[at] = replace(old, **dice.choice([
            {"needs": random_needs(dice, self.steps[:at], old.at_end)},
            {"needs": random_needs(dice, self.steps[:at], old.at_end)},
            {"hosts": random_hosts(dice, self.names)},
            {"on_failure": random_rule(dice)},
            {"run_once": not old.run_once},
            {"when": None if old.when else "host != 'h1'"},
            {"at_once": None if old.at_once else 1},
        ]))  # fmt: skip

    def move(self, _at):
        """Take a host away, or add one."""
        used = {name for s in self.steps for name in s.hosts.split(",")}
        spare = [h for h in self.hosts if h.name not in used]
        if spare and len(self.hosts) > 1 and self.dice.random() < 0.5:
            self.hosts.remove(self.dice.choice(spare))
        else:
            self.made += 1
            self.hosts.append(host(f"m{self.made}", shard=self.dice.choice(["a", "b", "c"])))


class Play:
    """One random run with all that befalls it."""

    def __init__(self, seed, directory, *, threads=False, changes=False):
        self.threads, self.changes = threads, changes
        self.changed = 0
        self.dice = dice = random.Random(seed)
        self.files = Files(dice)
        if changes and dice.random() < 0.4:
            self.files.roll()
        steps = self.files.steps
        self.world = world = Watch()
        plan = self.files.plan(world)
        self.nodes = [n.id for n in plan.nodes]
        world.fail = Counter(self.some(0.15))
        world.lose, world.unreachable, world.in_place = self.some(0.05), self.some(0.05), self.some(0.1)
        world.fail_plan = self.some(0.03)
        if dice.random() < 0.3:
            world.fail_revert = Counter(dict.fromkeys(self.some(0.1), dice.choice([1, 9])))
        self.injected, self.lost = Counter(world.fail), set(world.lose)
        if threads:
            slow = random.Random(seed)
            world.pause = lambda: time.sleep(slow.choice([0, 0, 0.01, 0.1]))
        self.stage = Stage(directory, plan, world)
        self.stage.reader = SqlJournal.open(self.stage.url)
        world.watch(self.stage, strict=not world.fail_revert and not any(s.task == "firm" for s in steps))
        self.ears = Ears(self.stage, world)
        self.stage.listen(self.ears)
        self.stage.listen(self.hear)
        self.deaths = self.sessions = 0
        self.stop_at = None
        self.wanted_back = False

    def some(self, chance):
        return {n for n in self.nodes if self.dice.random() < chance}

    def hear(self, _event):
        if self.stop_at is not None:
            self.stop_at -= 1
            if self.stop_at == 0:
                for _ in range(self.dice.choice([1, 1, 2])):
                    self.stage.stop.request()

    def run(self):
        what = "apply"
        try:
            for n in range(SESSIONS):
                code = self.session(what, calm=n >= SESSIONS - 4)
                what = self.what_next(code)
                if what is None:
                    break
            else:
                pytest.fail("it does not come to an end")
            self.check(code)
        finally:
            self.stage.reader.close()

    def session(self, what, *, calm):
        """The exit code; None if the process died."""
        dice, stage = self.dice, self.stage
        self.sessions += 1
        stage.stop = Stop()
        self.stop_at = dice.randint(1, 12) if dice.random() < 0.2 and not calm else None
        crash_at = dice.randint(1, 14) / 2 if dice.random() < 0.4 and not calm else None
        self.wanted_back = what == "rollback"
        self.ears.session()
        new = self.changed_plan() if what == "resume" and self.changes and dice.random() < 0.4 else None
        try:
            code = stage.session(what, seed=dice.random(), crash_at=crash_at, threads=self.threads, new=new)
        except Crash:
            code = None
        if code is None or stage.stop.detach:
            self.deaths += 1
            stage.executor.abandon()
        return code

    def changed_plan(self):
        """The plan by other files; None if a run may not go on with it."""
        self.files.change()
        try:
            new = self.files.plan(self.world, earlier=self.stage.stored_plan())
            with closing(SqlJournal.open(self.stage.url)) as journal:
                resuming._following(StoredPlan.of(self.stage.run_id, journal), new)
        except InputError:
            return None
        self.changed += 1
        return new

    def what_next(self, code):
        """The next command; None if this is the end."""
        stage, state = self.stage, self.stage.run_state()
        changed = any(n.to_revert() for n in stage.run.nodes.values() if n.id not in stage.plan.at_end)
        if code is None or code == 130:
            if state is RunState.SUCCEEDED and self.wanted_back:
                return "rollback"  # it died before it had begun, but holds the hosts already
            if state in OVER:
                return self.maybe_back(changed=changed)
            return "rollback" if changed and self.dice.random() < 0.2 else "resume"
        may_resume = (state is RunState.FAILED and not self.wanted_back) or (
            state is RunState.ROLLED_BACK and code == 1
        )
        if may_resume and self.dice.random() < 0.4:
            return "resume"
        return self.maybe_back(changed=changed)

    def maybe_back(self, *, changed):
        return "rollback" if changed and not self.wanted_back and self.dice.random() < 0.3 else None

    def check(self, code):
        stage, world = self.stage, self.world
        stage.plan = stage.stored_plan()
        records = {n.id: n for n in stage.reader.nodes(stage.run_id)}
        states = {n.id: n.state for n in records.values()}
        executed = Counter(n for what, n in world.log if what == "execute")
        assert not world.wrong
        for node, record in records.items():
            self.check_node(record, node in world.applied, executed[node])
        self.check_run(stage.run_state(), stage.exit_code() if code is None else code, states)

    def check_node(self, record, effective, executed):
        node, state, world = record.id, record.state, self.world
        if state is NodeState.SUCCEEDED:
            assert effective, f"{node} reads succeeded and is not there"
        elif state in {NodeState.REVERTED, NodeState.SKIPPED, NodeState.UNCHANGED}:
            # By other files a node may be skipped though it failed, or though it ran at an earlier end.
            passed_by = self.changes and state is NodeState.SKIPPED
            assert not effective or node in world.in_place or passed_by, f"{node} reads {state} and is there"
        elif not executed:
            assert not effective
        assert state not in {NodeState.RUNNING, NodeState.REVERTING}, f"{node} is left {state}"
        idempotent = self.stage.plan.task_of(node).idempotent
        # A death may end an attempt before or after its effect; only an idempotent task may then run again.
        spare = self.injected[node] + (node in self.lost) + (self.deaths if idempotent else 0)
        spare += (node in world.unreachable) * 30
        spare += (node in self.stage.plan.at_end) * (self.sessions - 1)  # each end has its own
        assert executed <= 1 + spare, f"{node} ran {executed} times"
        undone = Counter(
            a.undoes for a in record.attempts if a.phase is Phase.REVERT and a.state is AttemptState.SUCCEEDED
        )
        assert all(times == 1 for times in undone.values()), f"{node}: an attempt was undone twice"
        assert not any(a.state is AttemptState.RUNNING for a in record.attempts)
        self.check_retries(record)

    def check_retries(self, record):
        """Each attempt got the next value, over all sessions; and began only when what failed before was reverted."""
        retry = self.stage.plan.steps[record.step].retry
        open_attempts, place = [], None
        for attempt in record.attempts:
            if attempt.phase is Phase.REVERT:
                open_attempts = [
                    n for n in open_attempts if (n, AttemptState.SUCCEEDED) != (attempt.undoes, attempt.state)
                ]
                continue
            assert (attempt.turn is not None) == bool(retry.vary)
            if attempt.turn:
                # A look that failed had a value too, which no attempt got.
                looked = record.id in self.world.fail_plan
                assert looked or place in {None, attempt.turn.place}, f"{record.id}: a value out of turn"
                ended = attempt.state is AttemptState.SUCCEEDED  # another one belongs to another end
                place = 0 if ended else (attempt.turn.place + 1) % attempt.turn.of
            assert not (retry.revert_between and open_attempts), f"{record.id}: {open_attempts} were not reverted"
            if attempt.state not in {AttemptState.UNREACHABLE, AttemptState.SUCCEEDED}:
                open_attempts.append(attempt.n)

    def check_run(self, state, code, states):
        at_end = {states[n] for n in self.stage.plan.at_end}
        good = all(s in GOOD for s in states.values())
        if self.wanted_back:
            assert code in ({0, 4} if at_end <= GOOD else {1, 4})
            assert state in {RunState.ROLLED_BACK, RunState.FAILED, RunState.ROLLBACK_INCOMPLETE}
        else:
            assert (state is RunState.SUCCEEDED) == (code == 0)
            # A rollback that could undo nothing leaves everything good, and the run not.
            assert (code == 0) == (good and not self.stage.reader.rollbacks(self.stage.run_id))
        if state is RunState.ROLLED_BACK:
            assert not self.world.applied - self.world.in_place - self.stage.plan.at_end
        if code != 130:
            assert NodeState.PENDING not in at_end, "the run has ended without its end"
        if code == 3:
            assert at_end <= GOOD
            assert not {NodeState.REVERT_FAILED, NodeState.PENDING} & set(states.values())
        if NodeState.UNKNOWN in states.values() or state is RunState.ROLLBACK_INCOMPLETE:
            assert code == 4
        held = self.stage.holds()
        assert not held or state in {RunState.FAILED, RunState.ROLLBACK_INCOMPLETE}
        if state is RunState.ROLLBACK_INCOMPLETE or {NodeState.UNKNOWN, NodeState.PENDING} & set(states.values()):
            assert held or state is RunState.ROLLED_BACK


def play(seed, tmp_path, empty_journal, **more):
    directory = tmp_path / str(seed)
    directory.mkdir()
    shutil.copy(empty_journal, directory / "journal.db")
    played = Play(seed, directory, **more)
    try:
        played.run()
        return played
    except BaseException as error:
        error.add_note(f"seed {seed}")
        raise


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_no_schedule_breaks_the_invariants(chunk, tmp_path, empty_journal):
    for seed in range(chunk, SEEDS, CHUNKS):
        play(seed, tmp_path, empty_journal)


def test_nor_do_threads(tmp_path, empty_journal):
    for seed in range(SEEDS // 12):
        play(seed, tmp_path, empty_journal, threads=True)


@pytest.mark.parametrize("chunk", range(2))
def test_nor_does_a_playbook_that_is_changed_in_the_middle(chunk, tmp_path, empty_journal):
    changed = sum(play(seed, tmp_path, empty_journal, changes=True).changed for seed in range(chunk, SEEDS, 2))
    assert changed > SEEDS / 20
