"""What every shell that may be a target's `sh` says of the scripts of the server tasks."""

import os
import re
import shutil
import subprocess
from collections import defaultdict
from itertools import product
from pathlib import Path

import pytest

import opsflow_tasks
from opsflow_tasks import start_server, wait_for
from opsflow_tasks._target import unlike

SCRIPTS = {
    **{call: start_server.Params(service="x").script(call).text for call in ("start", "stop")},
    "wait": wait_for.Params(check="true").script("look").text,
}

TEXTS = Path(opsflow_tasks.__file__).parent
TOGETHER = {
    **{
        end: ("base", "log", "ports", "talk", "checks", "balancer", "service", "writable", end)
        for end in ("start", "stop")
    },
    "wait": ("base", "ports", "talk", "checks", "wait"),
    "release": ("base", "place", "writable", "release", "fetch", "reuse"),
    **{
        f"{engine} {action}": ("common", engine, action)
        for engine, action in product(
            ("mysql", "postgresql", "sqlite"), ("look", "list", "backup", "forget", "history", "program", "restore")
        )
    },
}
"""Files that are one script, which has one set of variables."""
SHARED = {
    # What one file's function finds for the others.
    *("o_born", "o_group", "o_limit", "o_sum", "o_until", "o_why", "written", "work"),
    # Used up before another's function is called, which was looked at each time.
    *("data", "found", "o_each", "o_file", "o_found", "o_late", "o_pause", "o_rest", "o_said", "o_up"),
}


def assigned(name):
    """The variables that a file of a script sets."""
    (path,) = (path for path in (TEXTS / "target" / f"{name}.sh", TEXTS / "databases" / f"{name}.sh") if path.exists())
    text = re.sub(r"(?m)(^|\s)#.*", "", path.read_text())
    text = re.sub(r"'[^']*'", "''", text)
    found = set(re.findall(r"(?m)(?:^|[\s;(&|{])([a-z_][a-z0-9_]*)=", text))
    found |= set(re.findall(r"\bfor ([a-z_][a-z0-9_]*) in", text))
    return found.union(*(names.split() for names in re.findall(r"\bread (?:-r )?([a-z_0-9 ]+)", text)))


@pytest.mark.parametrize("files", TOGETHER.values(), ids=list(TOGETHER))
def test_a_variable_belongs_to_one_file_of_a_script_unless_it_is_meant_for_others(files):
    owners = defaultdict(list)
    for file in files:
        for name in assigned(file):
            owners[name].append(file)
    assert len(owners) > 5
    assert {name: of for name, of in owners.items() if len(of) > 1 and name not in SHARED} == {}


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
