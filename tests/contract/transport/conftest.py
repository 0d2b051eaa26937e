"""The transports under test. `shell` is every real one, `transport` all of them."""

import itertools
import secrets
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from opsflow.model import CommandResult, Host, Operation
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
        pytest.skip(reason)
    with SshdFleet(tmp_path_factory.mktemp("fleet"), ["one", "two"]) as fleet:
        yield fleet


@pytest.fixture
def ssh(fleet) -> Iterator[SshTransport]:
    transport = SshTransport(Host(name="one", connection=fleet.connection("one")))
    yield transport
    transport.close()


class Recording:
    """A transport of which every run and every put is an operation, each another one."""

    recorded = True

    def __init__(self, transport):
        self._transport = transport
        self._run = f"run-{secrets.token_hex(4)}"
        self._numbers = itertools.count(1)

    def run(self, command, **more):
        return self._transport.run(command, op=self._next(), **more)

    def put(self, source, path, **more):
        return self._transport.put(source, path, op=self._next(), **more)

    def _next(self):
        return Operation(run=self._run, epoch=1, attempt="attempt", number=next(self._numbers), digest="-")

    def __getattr__(self, name):
        return getattr(self._transport, name)


@pytest.fixture(params=["local", "ssh", "local-recorded", "ssh-recorded"])
def shell(request, tmp_path) -> Iterator[Shell]:
    where, _, recorded = request.param.partition("-")
    if where == "local":
        found = Shell(transport=LocalTransport(tmp_path), home=tmp_path)
    else:
        found = Shell(transport=request.getfixturevalue("ssh"), home=request.getfixturevalue("fleet").home("one"))
    yield replace(found, transport=Recording(found.transport)) if recorded else found
    found.transport.release()
    found.transport.close()


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
