"""A small part of the campaign, which is run whole by `make campaign`.

OPSFLOW_CAMPAIGN is how much of it: 1 is all. A failure names the seed, and the command that makes that run again.
"""

import math
import os
from contextlib import ExitStack

import pytest
from campaign import campaign, hosts
from campaign_phases import LONGEST_CUT, PHASES

SCALE = float(os.environ.get("OPSFLOW_CAMPAIGN", "0.03"))
_SHORT_CUT = 4.0


@pytest.fixture(scope="module")
def targets(machines_possible, sshd_possible, tmp_path_factory):
    """Three ssh servers and three machines, with dash, bash and ash."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    with ExitStack() as running:
        yield hosts(tmp_path_factory.mktemp("hosts"), running, address=f"127.0.145.{1 + 4 * worker}")


@pytest.mark.parametrize("name", list(PHASES))
def test_nothing_is_done_twice_or_lost_or_told_wrongly(targets, tmp_path, name):
    phase = PHASES[name](longest=LONGEST_CUT if SCALE >= 1 else _SHORT_CUT)
    told = campaign(phase, targets, tmp_path / "project", seed=1, aim=math.ceil(phase.aim * SCALE))
    assert [(one.seed, one.verdict.wrong) for one in told if one.verdict.wrong] == []
    assert sum(one.disturbances.total() for one in told) > 0
    if name != "power":
        assert [one.verdict.unknown for one in told if one.verdict.unknown] == []
