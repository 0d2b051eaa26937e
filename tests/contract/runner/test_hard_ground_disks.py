"""Disks that are full, broken or in strange hands: nothing is started in part, and no false status is told."""

import io
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hard_ground import HardGround, fill, need, take_inodes
from runner_ground import base_of, in_thread, until

from opsflow.errors import Interrupted, Refused, TransferFailed

FULL = r"\.opsflow/ops\S* cannot be written: No space left on device"
PARTS = (".opsflow", ".opsflow/ops", str(base_of("")))
SAYS_MUCH = "i=0; while [ $i -lt 3000 ]; do echo '{}'; i=$((i+1)); done 2>/dev/null; exit 5".format("x" * 200)


@pytest.fixture(params=["dash", "ash"])
def ground(request, tmp_path):
    need("busybox", "dash", "mkfs.ext4", root=True)
    ground = HardGround(tmp_path / "fleet", request.param)
    yield ground
    ground.close()


@pytest.fixture
def small(ground):
    """On a small disk."""
    ground.mount("size=256k,nr_inodes=200")
    ground.start()
    return ground


def running(ground, op, command):
    """An operation that is at work until `go-on` is there; it ends with 9."""
    thread, caught = in_thread(
        lambda: ground.run(f"{command}; touch begun; while [ ! -e go-on ]; do sleep 0.05; done; exit 9", op)
    )
    until((ground.home / "begun").exists)
    return thread, caught


def test_a_disk_that_is_full_before_the_first_word_is_named(small):
    filler = fill(small.home)
    with pytest.raises(Refused, match=FULL) as refused:
        small.run("touch ran")
    assert "make room" in refused.value.hint
    assert not (small.home / "ran").exists()
    filler.unlink()
    assert small.run("touch ran").ok


@pytest.mark.parametrize("full_of", [fill, take_inodes])
def test_a_disk_that_fills_up_refuses_operations_and_takes_them_again_on_the_same_connection(small, full_of):
    small.run("true", small.op("a"))
    filler = full_of(small.home)
    with pytest.raises(Refused, match=FULL):
        small.run("touch ran", small.op("b"))
    with pytest.raises(Refused, match=FULL):
        small.transport.run("a read")
    with pytest.raises((Refused, TransferFailed), match="No space left on device"):
        small.transport.put(io.BytesIO(b"x" * 20_000), "put", op=small.op("c"))
    with pytest.raises((Refused, TransferFailed), match="No space left on device"):
        small.run("cat", small.op("d"), input=b"x" * 20_000)
    assert not (small.home / "ran").exists()
    shutil.rmtree(filler, ignore_errors=True)
    filler.unlink(missing_ok=True)
    assert small.run("cat", small.op("d"), input=b"x" * 20_000).stdout == "x" * 20_000
    assert small.run("touch ran", small.op("b")).ok
    assert small.fleet.connections("one") == 1


def test_a_disk_that_fills_up_under_a_command_cuts_its_output_and_the_result_says_so(small):
    result = small.run(SAYS_MUCH)
    assert (result.exit_status, result.truncated) == (5, True)
    assert set(result.stdout) == {"x", "\n"}
    place = small.transport.claim("run-1", 1)
    for output in (small.base / "run-1").glob("*.out"):
        os.truncate(output, 100_000)  # room for another connection
    recorded = small.again().run(SAYS_MUCH, op=small.op("a", place=place))
    assert (recorded.exit_status, recorded.truncated) == (5, True)


def test_the_status_is_recorded_where_neither_a_block_nor_an_inode_is_left(ground):
    """On a file system with blocks of its own, where a new one would be needed for whatever is not overwritten."""
    ground.mount_file(1 << 20)
    ground.start()
    thread, caught = running(ground, ground.op("a"), "echo early")
    (ground.home / "begun").rename(ground.home / "kept")
    (ground.home / "filler").touch()
    take_inodes(ground.home)
    fill(ground.home)
    left = os.statvfs(ground.home)
    assert (left.f_bavail, left.f_favail) == (0, 0)
    (ground.home / "kept").rename(ground.home / "go-on")
    thread.join(20)
    assert (caught[0].exit_status, caught[0].stdout, caught[0].truncated) == (9, "early\n", True)
    assert ground.state(ground.op("a")) == ["e", "9", "o"]


def test_a_claim_that_finds_the_disk_full_leaves_the_host_to_the_next_one(small):
    small.run("true", small.op("a"))
    small.transport.close()
    filler = fill(small.home)
    os.truncate(filler, filler.stat().st_size - 4096)  # enough for its first file
    with pytest.raises(Refused, match=FULL):
        small.again().claim("run-1", 2)
    filler.unlink()
    assert small.again().claim("run-1", 2)


def test_a_read_only_home_is_named(ground):
    ground.mount("ro,size=256k")
    ground.start()
    with pytest.raises(Refused, match=r"opsflow cannot be made: Read-only file system") as refused:
        ground.run("true")
    assert "mount it for writing" in refused.value.hint


def test_a_disk_that_becomes_read_only_refuses_operations_and_takes_them_again(small):
    small.run("true", small.op("a"))
    subprocess.run(["mount", "-o", "remount,ro", str(small.home)], check=True)
    with pytest.raises(Refused, match=r"cannot be written: Read-only file system"):
        small.run("true", small.op("b"))
    subprocess.run(["mount", "-o", "remount,rw", str(small.home)], check=True)
    assert small.run("true", small.op("b")).ok


def test_a_disk_that_breaks_under_an_operation_makes_no_second_run_of_it(ground, tmp_path):
    """Its status cannot be recorded: who follows it hears the truth, who comes later that nobody knows."""
    ground.mount_file(1 << 20)
    ground.start()
    place = ground.transport.claim("run-1", 1)
    go, witness = tmp_path / "go", tmp_path / "witness"
    command = f"echo ran >>{witness}; touch begun; while [ ! -e {go} ]; do sleep 0.05; done; exit 9"
    thread, caught = in_thread(lambda: ground.run(command))
    until((ground.home / "begun").exists)
    ground.break_file_system()
    go.touch()
    thread.join(20)
    assert (caught[0].exit_status, caught[0].truncated) == (9, True)
    assert ground.state(ground.op("a"))[0] == "r"
    ground.transport.close()
    with pytest.raises((Interrupted, Refused), match=r"killed|cannot be"):
        ground.again().run(command, op=ground.op("a", place=place))
    assert witness.read_text() == "ran\n"


def test_nothing_is_executed_from_the_home(ground):
    ground.mount("noexec,size=1m")
    ground.start()
    result = ground.run("cat; ls .opsflow >&2", input=b"x" * 20_000)
    assert (result.stdout, result.stderr) == ("x" * 20_000, "ops\n")
    ground.transport.put(io.BytesIO(b"y" * 20_000), "put", op=ground.op("b"))
    assert (ground.home / "put").read_text() == "y" * 20_000


@pytest.mark.parametrize("part", PARTS)
def test_records_that_lead_elsewhere_are_refused(ground, tmp_path, part):
    ground.start()
    (tmp_path / "elsewhere").mkdir()
    (ground.home / part).parent.mkdir(parents=True, exist_ok=True)
    (ground.home / part).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Refused, match=rf"{part} is a symbolic link"):
        ground.run("true")
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("part", PARTS)
def test_records_of_another_user_are_refused(ground, part):
    ground.start()
    ground.base.mkdir(parents=True)
    os.chown(ground.home / part, 65534, 65534)
    with pytest.raises(Refused, match=rf"{part} belongs to another user"):
        ground.run("true")


def test_records_that_everybody_may_write_are_made_private(ground):
    ground.start()
    for part in PARTS:
        (ground.home / part).mkdir()
        (ground.home / part).chmod(0o777)
    assert ground.run("true").ok
    assert [(ground.home / part).stat().st_mode & 0o077 for part in PARTS] == [0, 0, 0]
    assert ground.base.stat().st_mode & 0o777 == 0o700


def test_a_home_that_belongs_to_somebody_else_will_do(ground):
    ground.start()
    os.chown(ground.home, 65534, 65534)
    assert ground.run("true").ok


def test_a_file_in_place_of_the_records_is_refused(ground):
    ground.start()
    (ground.home / ".opsflow").write_text("")
    with pytest.raises(Refused, match=r"opsflow cannot be made: (Not a directory|File exists)"):
        ground.run("true")


def test_everything_that_is_made_is_private(small):
    small.run("umask 000; cat", input=b"x" * 20_000)
    made = [Path(at, name) for at, dirs, files in os.walk(small.base) for name in (*dirs, *files)]
    assert [path for path in made if path.lstat().st_mode & 0o077] == []
    assert len(made) > 10
