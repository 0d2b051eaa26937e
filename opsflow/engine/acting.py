"""One attempt of execute: its intent, and the job that acts."""

from opsflow.engine.jobs import Jobs
from opsflow.engine.run import Run
from opsflow.events import NodeStarted
from opsflow.model import Job, Outcome, Phase, said_with


def begin_execute(run: Run, jobs: Jobs, prepared: Outcome) -> Job:
    """Write down what a node's preparation found as the intent of an attempt; the job that does it."""
    node = prepared.job.node
    assert prepared.preview is not None
    attempt = run.begin_attempt(
        node,
        Phase.EXECUTE,
        params=prepared.params,
        preview=prepared.preview,
        machine=prepared.machine,
        turn=prepared.job.turn,
    )
    run.move(node, "start")
    summary = said_with(prepared.preview.summary, attempt.turn)
    run.say(NodeStarted(run_id=run.id, node=node, phase=Phase.EXECUTE, n=attempt.n, summary=summary))
    return jobs.execute(attempt)
