"""What every shell that may be a target's `sh` says of the scripts of the server tasks."""

import os
import shutil
import subprocess

import pytest

from opsflow_tasks import start_server, wait_for

SCRIPTS = {
    **{call: start_server.Params(service="x").script(call).text for call in ("start", "stop")},
    "wait": wait_for.Params(check="true").script("look").text,
}


@pytest.mark.parametrize("shell", ["dash", "bash --posix", "busybox sh", "mksh", "ksh93"])
@pytest.mark.parametrize("name", SCRIPTS)
def test_it_can_be_read(shell, name):
    words = shell.split()
    if shutil.which(words[0]) is None:
        reason = f"{words[0]} is not installed"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    done = subprocess.run([*words, "-n"], input=SCRIPTS[name], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
