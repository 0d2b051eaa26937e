"""The controller dies, by SIGKILL, at every transaction of its journal: just before it is durable, and just after."""

import os
from collections import Counter

import pytest
from fault_cli import Death
from fault_ground import Ground
from fault_play import FAILS, HELD, broken, step

from opsflow.model import NodeState, Phase, RunState

STEPS = "".join([
    step("tells", with_='creates = "tells.done"'),
    step("again", slow=0.03, extra='on_unknown = "rerun"', with_='unless = "test -e again.done"\nidempotent = true'),
    step("blind"),
    step("back", slow=0.03, extra='on_unknown = "revert"', with_='creates = "back.done"'),
])  # fmt: skip
MOST = 100
"""Transactions that no session here comes near."""


DATABASES = ("sqlite", "mariadb") if "OPSFLOW_FAULTS" in os.environ else ("sqlite",)
"""By default one: test_boundaries has every boundary on both."""


@pytest.fixture(scope="module", params=DATABASES)
def ground(request, fleet, tmp_path_factory):
    url = request.getfixturevalue("mariadb").create("boundaries") if request.param == "mariadb" else None
    ground = Ground(fleet, tmp_path_factory.mktemp(request.param) / "project", url)
    ground.playbook(STEPS)
    ground.playbook(STEPS + FAILS, "failing")
    ground.playbook(step("tells", with_='creates = "tells.done"') + step("blind"), "short")
    yield ground
    ground.clean()


def deaths(ground, *command, first=1, moments=(False, True), prepare=lambda: None):
    """Let a command die at each of its transactions, until it has none left; the hosts are quiet after each death."""
    for n in range(first, MOST):
        for committed in moments:
            ground.wipe()
            prepare()
            death = Death(n=n, committed=committed)
            ended = ground.quick(*command, fate=death)
            ground.settle()
            if ended.code in {0, 3}:
                assert n > first
                return
            assert ended.code == -9, (str(death), ended)
            yield str(death)


def last_word(ground):
    """Resume until there is nothing left to go on with; the last exit code."""
    for _ in range(3):
        code = ground.quick("resume").code
        if code != 1:
            return code
    raise AssertionError("it always ends with 1")


def test_on_the_way_forward(ground):
    tally = Counter()
    known = ground.runs()
    for death in deaths(ground, "apply", "play.toml", "--yes"):
        tally["deaths"] += 1
        if ground.runs() == known:  # it died before there was a run
            assert not ground.lines("one") + ground.lines("two"), death
            continue
        known += 1
        before = ground.seen()
        if before.run.state is RunState.SUCCEEDED:
            assert not broken(ground, before, 0), death
            continue
        # The hosts know what became of every attempt: nothing is run again, nothing is unknown.
        code = last_word(ground)
        after = ground.seen()
        told = (death, before.states, code, after.states)
        assert code == 0, told
        assert not broken(ground, after, code), told
        assert set(after.states.values()) == {NodeState.SUCCEEDED}, told
        tally["attempts settled"] += len(before.interrupted())
    print(f"forward: {dict(tally)}")
    assert tally["deaths"] >= 20
    assert tally["attempts settled"] >= 20


def check_gone(ground, code, told):
    """Nothing of a run is left on the hosts."""
    after = ground.seen()
    assert not broken(ground, after, code, idempotent={"again"}), told
    assert after.run.state is RunState.ROLLED_BACK, told
    assert not any(list(ground.fleet.home(host).glob("*.done")) for host in ground.fleet.names), told


def test_on_the_way_back_from_a_failure(ground):
    tally = Counter()
    # The other half on the other database: what a rollback commits is the same on both.
    moments = (ground.url.startswith("sqlite"),)
    for death in deaths(ground, "apply", "failing.toml", "--yes", first=14, moments=moments):
        tally["deaths"] += 1
        before = ground.seen()
        code = 3
        if before.run.state is not RunState.ROLLED_BACK:
            tally["reverts interrupted"] += len(before.interrupted(Phase.REVERT))
            tally["in the rollback"] += before.run.state is RunState.ROLLING_BACK
            code = last_word(ground)
        assert code == 3, (death, before.states)
        check_gone(ground, 3, death)
    print(f"back from a failure: {dict(tally)}")
    assert tally["in the rollback"] >= 8
    assert tally["reverts interrupted"]


def test_on_the_way_back_that_was_asked_for(ground):
    tally = Counter()

    def succeed():
        assert ground.quick("apply", "short.toml", "--yes").code == 0

    for death in deaths(ground, "rollback", "--yes", prepare=succeed):
        tally["deaths"] += 1
        before = ground.seen()
        if before.run.state is RunState.SUCCEEDED:  # it died before it had begun; its hosts may be held already
            assert set(broken(ground, before, 0)) <= {HELD}, death
            assert ground.quick("rollback", "--yes").code == 0, death
        elif before.run.state is not RunState.ROLLED_BACK:
            tally["reverts interrupted"] += len(before.interrupted(Phase.REVERT))
            command = ("resume",) if tally["deaths"] % 2 else ("rollback", "--yes")
            tally[command[0]] += 1
            assert ground.quick(*command).code in {0, 3}, death
        check_gone(ground, ground.seen().run.exit_code, death)
    print(f"back as asked: {dict(tally)}")
    assert tally["resume"] >= 3
    assert tally["rollback"] >= 3
    assert tally["reverts interrupted"]
