"""A small part of what `make services` does whole: servers whose controllers are killed while a release is exchanged."""

import os

import pytest
from kills import Round, play
from service_ground import missing, served
from service_rounds import Exchange

BOTH = "controller and runner"
SHORT = {
    "systemd": [
        Round(task="stop", point=9, way="resume", victim=BOTH),
        Round(task="start", point=9, way="rollback", victim="controller"),
    ],
    "supervisor": [Round(task="start", point=12, way="rollback", victim="controller")],
    "pidfile": [Round(task="start", point=6, way="resume", victim=BOTH)],
    "commands": [
        Round(task="deploy", point=9, way="rollback", victim=BOTH),
        Round(task="stop", point=9, way="back", victim="controller"),
    ],
}
SECONDS = 0.2
"""From the beginning of the task, which takes longer; nobody measures here how much."""


@pytest.fixture(scope="module")
def servers(machines_possible, sshd_possible, tmp_path_factory):
    if reason := missing():
        pytest.skip(reason)
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    with served(tmp_path_factory.mktemp("served"), tuple(SHORT), address=f"127.0.146.{1 + 4 * worker}") as servers:
        yield {one.backend: Exchange(one) for one in servers}


@pytest.mark.parametrize("backend", SHORT)
def test_one_server_runs_with_the_right_release_and_was_exchanged_once(servers, backend):
    told = [play(servers[backend], {played: SECONDS}, played) for played in SHORT[backend]]
    assert [(one.line(), one.wrong) for one in told if one.wrong] == []
    assert any(one.hit for one in told)
