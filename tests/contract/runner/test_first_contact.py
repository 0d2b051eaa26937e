"""A connection that is cut before the host has answered for the first time: another one is made."""

import os

import pytest

from opsflow.errors import Unreachable
from opsflow.model import Host, Operation
from opsflow.testing import SshdFleet
from opsflow.testing.sshd import sshd_path
from opsflow.transport import target
from opsflow.transport.ssh import SshTransport


class CutAtFirst(SshTransport):
    """Its connections are cut, so many of them, as soon as a command was started on them."""

    def __init__(self, fleet, cuts, before):
        super().__init__(Host(name="one", connection=fleet.connection("one")))
        self._fleet, self._cuts, self._before = fleet, cuts, before

    def start(self, *arguments, **more):
        cut, self._cuts = self._cuts > 0, max(self._cuts - 1, 0)
        if cut and self._before:
            self.reach()
            self._fleet.cut("one")
        process = super().start(*arguments, **more)
        if cut and not self._before:
            self._fleet.cut("one")
        return process


@pytest.fixture
def fleet(tmp_path):
    if sshd_path() is None:
        reason = "sshd is not installed"
        pytest.skip(reason)
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    with SshdFleet(tmp_path / "fleet", ["one"], first_address=f"127.0.152.{1 + worker}") as fleet:
        yield fleet


@pytest.mark.parametrize("before", [True, False], ids=["before it was started", "after"])
@pytest.mark.parametrize("cuts", [1, 3])
def test_it_is_made_again(fleet, cuts, before):
    transport = CutAtFirst(fleet, cuts, before)
    transport.claim("run-1", 1)
    operation = Operation(run="run-1", epoch=1, attempt="a", number=1, digest="-")
    assert transport.run("echo ran >>witness", op=operation).ok
    assert (fleet.home("one") / "witness").read_text() == "ran\n"
    transport.close()


def test_a_host_that_lets_none_hold_is_given_up(fleet):
    transport = CutAtFirst(fleet, 1_000_000, before=False)
    transport.patience = 2.0
    with pytest.raises(Unreachable):
        transport.claim("run-1", 1)
    transport.close()


def test_a_host_where_nobody_answers_is_told_at_once(fleet, monkeypatch):
    monkeypatch.setattr(target._Patience, "over", lambda _: pytest.fail("it was waited for"))
    transport = CutAtFirst(fleet, 0, before=False)
    fleet.stop()
    with pytest.raises(Unreachable):
        transport.claim("run-1", 1)
