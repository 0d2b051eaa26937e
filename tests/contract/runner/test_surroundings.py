"""What a command finds around it: what it would find after a login, and nothing of the runner's own."""

import json
import os
import re
import stat
import sys

import pytest

from opsflow.transport import program
from opsflow.transport.channel import START
from opsflow.transport.scripts import OUTER


@pytest.fixture
def transport(ground):
    transport = ground.transport()
    yield transport
    transport.close()


@pytest.fixture(params=[0o022, 0o002, 0o077])
def mask(request):
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


@pytest.mark.parametrize("form", ["umask; touch made", "umask; touch made #" + "x" * 9000])
def test_files_that_it_makes_are_as_readable_as_after_a_login_and_records_are_not(ground, transport, mask, form):
    result = transport.run(form, op=ground.operation("a", 1), input=b"x")
    assert int(result.stdout, 8) == mask
    assert stat.S_IMODE((ground.home / "made").stat().st_mode) == 0o666 & ~mask
    kept = [ground.base, *ground.base.rglob("*")]
    assert [path for path in kept if stat.S_IMODE(path.stat().st_mode) & 0o077] == []


OPEN = "for n in 0 1 2 3 4 5 6 7 8 9; do [ ! -e /proc/$$/fd/$n ] || printf $n; done"  # shells keep theirs from 10 on


@pytest.mark.parametrize("comment", ["", "#" * 9000])
def test_no_descriptors_arguments_or_variables_of_the_runner(ground, transport, comment):
    transport.run("true", op=ground.operation("a", 1))
    result = transport.run(f"{OPEN}; echo; echo $#; env {comment}", op=ground.operation("a", 2), input=b"x")
    descriptors, arguments, *environment = result.stdout.splitlines()
    assert (descriptors, arguments) == ("012", "0")
    added = {line.partition("=")[0] for line in environment} - set(os.environ)
    assert added <= {"PWD", "OLDPWD", "SHLVL", "_"}


NAMES = sorted(
    {name for text in (program.text(), START[-1], OUTER) for name in re.findall(r"(?<![\w$\"'-])([a-z]\w*)=", text)}
    | {name for names in re.findall(r"\bread -r ([\w ]+)", program.text()) for name in names.split()}
    | set(re.findall(r"\bfor ([a-z]\w*) in", program.text()))
    | {*"abcnrtwx"}
)
"""Every variable of the runner, and short ones."""


@pytest.mark.parametrize("form", ["", "#" * 9000])
def test_variables_of_a_login_that_are_named_as_the_runners_own(ground, transport, monkeypatch, form):
    assert {"run", "dir", "text", "seen", "who"} <= set(NAMES)
    wanted = {name: f"the  login's \\n own $HOME `{name}`" for name in NAMES} | {"op": "", "rings": "two\nlines"}
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)
    show = f"'{sys.executable}' -c 'import os, json; print(json.dumps(dict(os.environ)))' {form}"
    for op in (None, ground.operation("a", 1), ground.operation("a", 2), None):
        found = json.loads(transport.run(show, op=op, timeout=60).stdout)
        assert {name: found.get(name) for name in wanted} == wanted
        assert [name for name in found if name.startswith("_o") and name not in wanted] == []
