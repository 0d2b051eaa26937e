"""The transports under test. `shell` is every real one, `transport` all of them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from opsflow.model import CommandResult, Host
from opsflow.testing import SshdFleet
from opsflow.testing.sshd import sshd_path
from opsflow.transport.fake import FakeTransport
from opsflow.transport.local import LocalTransport
from opsflow.transport.ssh import SshTransport


@dataclass(frozen=True, kw_only=True)
class Shell:
    """A real transport and the directory in which its commands start."""

    transport: LocalTransport | SshTransport
    home: Path


@pytest.fixture(scope="session")
def fleet(tmp_path_factory) -> Iterator[SshdFleet]:
    if sshd_path() is None:
        reason = "sshd is not installed; the ssh transport is not tested"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    with SshdFleet(tmp_path_factory.mktemp("fleet"), ["one", "two"]) as fleet:
        yield fleet


@pytest.fixture
def ssh(fleet) -> Iterator[SshTransport]:
    transport = SshTransport(Host(name="one", connection=fleet.connection("one")))
    yield transport
    transport.close()


@pytest.fixture(params=["local", "ssh"])
def shell(request, tmp_path) -> Shell:
    if request.param == "local":
        return Shell(transport=LocalTransport(tmp_path), home=tmp_path)
    transport = request.getfixturevalue("ssh")
    return Shell(transport=transport, home=request.getfixturevalue("fleet").home("one"))


@pytest.fixture(params=["fake", "local", "ssh"])
def transport(request, tmp_path):
    match request.param:
        case "fake":
            answers = [
                ("^echo hello$", "hello\n"),
                ("^cat$", lambda asked: asked.input.decode()),
                ("^exit 3$", CommandResult(exit_status=3)),
            ]
            return FakeTransport(commands=answers)
        case "local":
            return LocalTransport(tmp_path)
        case _:
            return request.getfixturevalue("ssh")
