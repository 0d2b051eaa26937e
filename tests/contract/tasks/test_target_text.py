"""What every shell that may be a target's `sh` says of the scripts of the server tasks."""

import os
import shutil
import subprocess

import pytest

from opsflow_tasks import start_server, wait_for
from opsflow_tasks._target import unlike

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


@pytest.mark.parametrize("shell", ["dash", "bash", "busybox sh"])
@pytest.mark.parametrize("secret", ["echo", "say it", "\\\\", "it's\necho", "  echo ", "0145", "aa"])
def test_a_script_may_be_written_without_a_word_that_is_a_secret(shell, secret):
    text = "say='say it'; echo \"$say\" it\\'s aaa '\\\\' # echo\nset -- a b\nprintf '%s\\n' \"$#\"\nexit 3\n"
    plain, other = (
        subprocess.run([*shell.split(), "-c", script], capture_output=True, text=True, check=False)
        for script in (text, unlike(text, [secret]))
    )
    assert plain.stdout.startswith("say it it's aaa")
    assert (other.stdout, other.stderr, other.returncode) == (plain.stdout, "", 3)
    assert secret == "0145" or secret.splitlines()[0].strip() not in unlike(text, [secret])
