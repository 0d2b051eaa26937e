"""Commands have a session of their own: what they do to their process group they do not do to what watches over them."""

import pytest


@pytest.fixture
def transport(ground):
    transport = ground.transport()
    yield transport
    transport.close()


def test_a_command_that_kills_its_process_group_ends_by_that_and_the_next_one_goes_on(ground, transport):
    result = transport.run("echo before; kill -KILL 0; echo after", op=ground.operation("a", 1))
    assert (result.exit_status, result.stdout) == (137, "before\n")
    opened = transport._target.opened
    assert transport.run("echo next", op=ground.operation("a", 2)).stdout == "next\n"
    assert transport._target.opened == opened
