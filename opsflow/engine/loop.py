"""The loop: find the next nodes, have them run, look at the results."""

import time
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import partial

from opsflow.engine.conclude import conclude, left_standing, next_command
from opsflow.engine.gates import Desk
from opsflow.engine.graph import Spread
from opsflow.engine.jobs import Jobs
from opsflow.engine.last import ended, renew
from opsflow.engine.machine import loop_machine
from opsflow.engine.requests import Requests
from opsflow.engine.resume import end_interrupted, policy, reopen, stopped_before
from opsflow.engine.run import Run
from opsflow.engine.stop import Stop
from opsflow.engine.ways import Ways
from opsflow.events import NodeOutput, NodeProgressed, RunFinished, RunStarted, RunStopping
from opsflow.model import (
    Failure,
    Job,
    JobKind,
    Log,
    Message,
    NodeState,
    OnFailure,
    Outcome,
    Output,
    OutputAppended,
    Phase,
    Progress,
    RequestRecord,
    RunState,
)
from opsflow.ports import Approver, Executor, Journal, Renderer

_POLL = 0.25
"""Seconds in which a wish to stop is seen at the latest."""

_FEW = 4
_GATHERING = (0.001,) * 4
"""While more than a few jobs are at work, seconds in which more messages may come: what they bring shares a commit."""


class Engine:
    """Drives one run.

    Args:
        run: The run; its writer in the journal is this process.
        executor: Where jobs are worked on.
        journal: For the heartbeat.
        renderer: For the values that scopes are made of.
        stop: The operator's wish to stop.
        approver: Asks at the terminal for approvals; None: nobody is there.
    """

    def __init__(
        self,
        run: Run,
        *,
        executor: Executor,
        journal: Journal,
        renderer: Renderer,
        stop: Stop,
        approver: Approver | None = None,
    ) -> None:
        self._run = run
        self._executor = executor
        self._journal = journal
        self._stop = stop
        self._stopping = False
        self._flying: dict[str, Job] = {}
        jobs = Jobs(
            run.plan,
            run.nodes,
            run.id,
            renderer,
            epoch=journal.epoch(run.id),
            printed=partial(journal.printed, run.id),
            plan_of=run.plan_of,
        )
        spread = Spread(run.plan)
        self._spread = spread
        self._ways = Ways(run, jobs, spread, renderer, self._failed)
        self._undo = self._ways.back
        self._desk = Desk(run, journal, approver)
        self._requests = Requests(
            run,
            jobs=jobs,
            executor=executor,
            stop=stop,
            flying=self._flying,
            engaged=lambda node: bool(self._ways.last) or node in self._at_work() or self._undo.waiting(node),
            marked_failed=self._marked_failed,
            again=self._ways.again,
            gates=lambda: self._ways.gates,
            decided=self._ways.decided,
        )

    def apply(self) -> int:
        """Run a planned run; the exit code."""
        self._say_started("apply")
        self._run.move_run("start")
        self._ways.go_forward()
        return self._drive()

    def resume(self) -> int:
        """Go on with a run that stopped; the exit code."""
        self._say_started("resume")
        self._undo.restore()
        goes_on = ended(self._run)
        stay = reopen(self._run, self._undo.closed, self._spread)
        if goes_on:
            renew(self._run, self._spread, self._undo.closed)
        self._undo.take_up()
        self._ways.go_forward(once_more=goes_on)
        for node in stopped_before(self._run, self._undo.closed):
            behind = self._ways.block_behind(node)
            if self._run.nodes[node].state is not NodeState.FAILED:
                for blocked in behind:
                    self._failed(blocked, [])
            elif node not in stay:
                self._failed(node, behind)
        return self._drive()

    def rollback(self) -> int:
        """Put everything back that the run changed; the exit code."""
        self._say_started("rollback")
        end_interrupted(self._run)
        if self._run.state is RunState.PLANNED:  # an earlier session ended before it had begun anything
            self._run.move_run("start")
        if self._run.state is not RunState.ROLLING_BACK:
            self._run.move_run("roll_back")
        for record in self._run.earlier:
            # What an earlier session could not finish is part of this one.
            if record.finished is None:
                self._run.end_rollback(record, complete=False)
        self._run.rollbacks.clear()
        for node in self._undo.close_all():
            self._run.move(node, "block", error=Failure(kind="Blocked", message="the run is being rolled back"))
        renew(self._run, self._spread, whole=True)
        return self._drive(wanted_back=True)

    def cancel(self, request: RequestRecord) -> Mapping[str, Failure | None]:
        """End on their hosts what earlier sessions left at work, and leave the run where it can be resumed.

        Returns:
            Nodes of which something may still run, and why that is not known to have ended.
        """
        self._requests.take(request)
        self._loop()
        if self._run.state in {RunState.RUNNING, RunState.ROLLING_BACK}:
            self._run.move_run("suspend", exit_code=130)
        self._leave()
        return self._requests.unanswered

    # The loop

    def _drive(self, *, wanted_back: bool = False) -> int:
        self._loop()
        return self._finish(wanted_back=wanted_back)

    def _loop(self) -> None:
        machine = loop_machine()
        state = "resuming"
        self._undo.advance(self._at_work())
        state = machine.after(state, "ready")
        messages: Iterable[Message] = ()
        while state != "finished":
            if state == "scheduling":
                event = "submitted" if self._schedule() else "idle"
            elif state == "waiting":
                messages = self._hear()
                for request in self._journal.heartbeat(self._run.id):
                    self._requests.take(request)
                event = "heard"
            else:
                for message in messages:
                    self._take(message)
                self._undo.advance(self._at_work())
                event = "looked"
            state = machine.after(state, event)

    def _schedule(self) -> bool:
        """Make intents durable and submit their jobs. Whether there is anything to wait for."""
        jobs: list[Job] = []
        if self._stop.requested:
            self._say_stopping()
            jobs = self._requests.next(self._executor.free)
        else:
            jobs = self._ways.next(self._executor.free, calm=not self._flying)
        # Looking needs no intent: outcomes wait for the intents of what needs them, and share a commit.
        self._submit(job for job in jobs if job.kind is JobKind.PREPARE)
        acts = [job for job in jobs if job.kind is not JobKind.PREPARE]
        self._run.flush(patient=self._looking() and not acts and not self._stop.requested)
        self._submit(acts)
        if self._stop.detach:
            return False
        if self._flying or self._stopping:
            return bool(self._flying)
        return not self._ways.idle or self._desk.attend(self._ways.gates)

    def _hear(self) -> Iterable[Message]:
        heard = list(self._executor.messages(self._patience()))
        for pause in _GATHERING if heard else ():
            if len(self._flying) - sum(isinstance(message, Outcome) for message in heard) <= _FEW:
                break
            time.sleep(pause)
            heard += self._executor.messages(0)
        return heard

    def _submit(self, jobs: Iterable[Job]) -> None:
        for made in jobs:
            job = self._run.settled.told(made)
            self._flying[job.node] = job
            self._executor.submit(job)

    def _looking(self) -> bool:
        return any(job.kind is JobKind.PREPARE for job in self._flying.values())

    def _say_stopping(self) -> None:
        if self._stop.requested and not self._stopping:
            self._stopping = True
            if not self._requests.stopping:
                self._run.say(RunStopping(run_id=self._run.id, running=tuple(self._flying)))

    def _patience(self) -> float:
        waits = [self._run.due]
        if not self._stop.requested:  # else nobody looks at them any more
            waits += self._ways.waits
        return min([w for w in waits if w is not None] + [_POLL])

    def _take(self, message: Message) -> None:
        if isinstance(message, Outcome):
            del self._flying[message.job.node]
            outcome = self._requests.signed(message)
            if outcome.job.kind is JobKind.CANCEL:
                self._requests.ended(outcome)
            else:
                self._ways.take(outcome)
        elif isinstance(message, Progress):
            self._run.say(
                NodeProgressed(run_id=self._run.id, node=message.job.node, done=message.done, total=message.total)
            )
        else:
            self._keep_output(message)

    def _keep_output(self, message: Output | Log) -> None:
        job = message.job
        stream, text = ("log", message.line) if isinstance(message, Log) else (message.stream, message.text)
        if job.kind in {JobKind.EXECUTE, JobKind.REVERT}:
            phase = Phase.REVERT if job.kind is JobKind.REVERT else Phase.EXECUTE
            attempt = self._run.nodes[job.node].last(phase)
            assert attempt is not None
            self._run.add(OutputAppended(attempt=attempt.id, stream=stream, text=text, at=datetime.now(UTC)))
        self._run.say(NodeOutput(run_id=self._run.id, node=job.node, stream=stream, text=message.text))

    def _failed(self, node: str, blocked: list[str]) -> None:
        """A node failed, and others were blocked by it: each does to its scope what its step says."""
        first = policy(self._run, node)
        if first is OnFailure.CONTINUE or self._ways.forward is None:
            return
        if first is OnFailure.HALT:
            self._ways.forward.halt()
            return
        queue = deque([node, *blocked])
        while queue:
            failed = queue.popleft()
            if policy(self._run, failed) is OnFailure.HALT:
                self._ways.forward.halt()
            elif policy(self._run, failed) is OnFailure.ROLLBACK:
                queue.extend(
                    self._ways.forward.block(self._undo.close(failed, self._at_work()), f"{node} failed: rolled back")
                )

    def _marked_failed(self, node: str) -> None:
        """What follows from a failure now follows from the operator's word."""
        blocked = [n for n in self._spread.dependants([node]) if self._run.nodes[n].state is NodeState.BLOCKED]
        self._failed(node, blocked)

    def _at_work(self) -> set[str]:
        """Nodes with a job, and those of which it is still to be found out what became of them."""
        return self._flying.keys() | self._ways.unsettled

    def _say_started(self, command: str) -> None:
        plan = self._run.plan
        self._run.say(
            RunStarted(
                run_id=self._run.id,
                playbook=plan.playbook.name,
                command=command,
                nodes=len(plan.nodes),
                hosts=len(plan.hosts),
            )
        )

    def _finish(self, *, wanted_back: bool) -> int:
        waiting = bool(self._ways.gates)
        interrupted = self._stop.requested and (bool(self._flying) or not self._ways.idle or waiting)
        self._say_stopping()
        code = conclude(self._run, interrupted=interrupted, waiting=waiting, wanted_back=wanted_back)
        self._run.say(
            RunFinished(
                run_id=self._run.id,
                state=self._run.state,
                exit_code=code,
                counts=self._run.counts(),
                left=left_standing(self._run),
                hint=next_command(self._run, code),
            )
        )
        self._leave()
        return code

    def _leave(self) -> None:
        self._run.flush()
        self._journal.leave(self._run.id, release_hosts=False)
