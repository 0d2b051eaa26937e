"""Targets on which little is installed."""

import io
import os
import shutil
import time
from pathlib import Path

import pytest
from hard_ground import HardGround, need
from runner_ground import in_thread, until

from opsflow.errors import Cancelled, Refused

NEEDED = ["cat", "chmod", "dd", "head", "id", "ln", "mkdir", "mkfifo", "mv", "rm", "sleep", "tail"]
FOR_FILES = ["sha256sum", "sync", "wc"]
FOR_PAYLOADS = ["touch"]


class Sparse(HardGround):
    """A host on whose PATH only some programs are.

    Attributes:
        tools: The directory they are in.
    """

    def __init__(self, directory, shell, names):
        super().__init__(directory, shell)
        self.tools = directory / "tools"
        self.tools.mkdir()
        busybox = shutil.which("busybox")
        program = busybox if shell == "ash" else shutil.which(shell)
        (self.tools / "sh").symlink_to(program)
        for name in names:
            (self.tools / name).symlink_to(busybox if shell == "ash" else shutil.which(name))
        first = directory / "first-sh"
        first.write_text(f'#!/bin/sh\nPATH={self.tools}\nexec sh "$@"\n')
        first.chmod(0o755)
        self.use_shell(first)
        self.start()


DASH = pytest.mark.parametrize("sparse", ["dash"], indirect=True)
ASH = pytest.mark.parametrize("sparse", ["ash"], indirect=True)


@pytest.fixture(params=["dash", "ash"])
def sparse(request, tmp_path):
    """Makes a host with some programs."""
    need("busybox", "dash")
    made = []

    def make(*names):
        made.append(Sparse(tmp_path / "fleet", request.param, names))
        return made[-1]

    yield make
    for ground in made:
        ground.close()


def living(path):
    """Whether the process lives whose id a file holds."""
    try:
        return Path(f"/proc/{path.read_text().strip()}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_the_few_programs_that_are_needed_will_do(sparse):
    ground = sparse(*NEEDED, *FOR_FILES, "setsid")
    assert ground.run("cat; exit 3", input=b"x" * 20_000).stdout == "x" * 20_000
    content = os.urandom(1_300_000)
    digest = ground.transport.put(io.BytesIO(content), "part", op=ground.op("b"))
    assert len(digest) == 64
    assert (ground.home / "part").read_bytes() == content
    result = ground.run("for i in 1 2 3; do cat part; done >&2", ground.op("c"))
    assert len(result.stderr.encode()) >= 1024 * 1024
    assert ground.transport.get("part") == content


def test_a_program_that_is_missing_is_named(sparse):
    ground = sparse(*NEEDED)
    for missing in NEEDED:
        (ground.tools / missing).rename(ground.tools / "hidden")
        with pytest.raises(Refused, match=rf"there is no {missing}$"):
            ground.run("true")
        (ground.tools / "hidden").rename(ground.tools / missing)
    assert not (ground.home / ".opsflow").exists()
    assert ground.run("true").ok


def test_without_setsid_a_timeout_ends_the_command_and_nothing_else(sparse):
    ends_in_time(sparse(*NEEDED, *FOR_PAYLOADS))


@DASH
def test_perl_does_for_setsid(sparse):
    need("perl")
    ground = sparse(*NEEDED, *FOR_PAYLOADS)
    (ground.tools / "perl").symlink_to(shutil.which("perl"))
    ends_in_time(ground)


def ends_in_time(ground):
    """A command of several processes whose time runs out, another one on the same connection, and one that follows."""
    other, caught = in_thread(lambda: ground.run("touch other; while [ ! -e go-on ]; do sleep 0.1; done; exit 3"))
    until((ground.home / "other").exists)
    result = ground.run("sh -c 'echo $$ >child; sleep 60; true' & sleep 60; true", ground.op("b"), timeout=1)
    assert result.timed_out
    until(lambda: not living(ground.home / "child"))
    assert ground.state(ground.op("a"))[0] == "r"
    (ground.home / "go-on").touch()
    other.join(10)
    assert caught[0].exit_status == 3
    assert ground.run("exit 4", ground.op("c")).exit_status == 4
    assert ground.fleet.log("one").count("Starting session") == 1


@ASH
def test_without_setsid_what_is_cancelled_and_does_not_heed_is_killed_later(sparse):
    ground = sparse(*NEEDED, *FOR_PAYLOADS)
    command = """sh -c 'trap "" TERM; echo $$ >child; touch begun; while :; do sleep 0.2; done'; true"""
    thread, caught = in_thread(lambda: ground.run(command))
    until((ground.home / "begun").exists)
    began = time.monotonic()
    ground.transport.cancel(ground.op("a"))
    thread.join(10)
    assert isinstance(caught[0], Cancelled)
    until(lambda: not living(ground.home / "child"), 20)
    assert time.monotonic() - began > 4.5
    assert ground.run("exit 4", ground.op("c")).exit_status == 4
