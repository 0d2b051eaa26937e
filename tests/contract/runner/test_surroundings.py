"""What a command finds around it: what it would find after a login, and nothing of the runner's own."""

import os
import stat

import pytest


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
