"""The runner's text: what shells and shellcheck say of it, and that no file of it is forgotten."""

import shutil
import subprocess
from pathlib import Path

import pytest

import opsflow.transport
from opsflow.transport import program

FOLDER = Path(opsflow.transport.__file__).parent / "runner"


def test_every_file_is_sent():
    assert sorted(f"{part}.sh" for part in program.PARTS) == sorted(file.name for file in FOLDER.iterdir())


@pytest.mark.parametrize("shell", ["dash", "bash --posix", "busybox ash", "mksh"])
def test_shells_take_it_and_only_as_a_whole(shell):
    if shutil.which(shell.split()[0]) is None:
        reason = f"{shell} is not installed"
        pytest.skip(reason)
    whole = program.program("nonce", "run", 1, "me", shared=False)
    assert subprocess.run([*shell.split(), "-n"], input=whole, check=False).returncode == 0
    for cut in range(200, len(whole) - 2, len(whole) // 20):
        done = subprocess.run([*shell.split(), "-n"], input=whole[:cut], capture_output=True, check=False)
        assert done.returncode != 0, whole[:cut][-80:]


def test_shellcheck_finds_nothing():
    if shutil.which("shellcheck") is None:
        reason = "shellcheck is not installed"
        pytest.skip(reason)
    joined = "\n".join((FOLDER / f"{part}.sh").read_text() for part in program.PARTS)
    for text in (joined, *((FOLDER.parent / name).read_text() for name in ("receive.sh", "tail.sh"))):
        done = subprocess.run(
            ["shellcheck", "--shell=sh", "-"], input=text, capture_output=True, text=True, check=False
        )
        assert done.stdout == ""
