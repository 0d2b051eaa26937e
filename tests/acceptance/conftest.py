import itertools
import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from command_line import Project
from upgrade_site import Site

from opsflow.testing.sshd import sshd_path

_NUMBERS = itertools.count(1)


def _address():
    """The first of a block of addresses that no other project of these tests has."""
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    return f"127.{61 + worker}.{next(_NUMBERS)}.1"


@pytest.fixture(scope="module")
def make_site(tmp_path_factory):
    """`make_site(...)`: a `Site`, to be entered."""
    _need_sshd()
    return lambda **more: Site(tmp_path_factory.mktemp("site") / "project", first_address=_address(), **more)


@pytest.fixture(scope="module")
def site(make_site):
    """A site on which release 1.0 runs."""
    with make_site() as site:
        site.install()
        yield site


@pytest.fixture(scope="module")
def make_project(tmp_path_factory):
    """`make_project(names)`: a `Project`, to be entered."""
    _need_sshd()
    return lambda names: Project(tmp_path_factory.mktemp("site") / "project", names, first_address=_address())


@pytest.fixture
def project(tmp_path):
    """A project with two hosts."""
    _need_sshd()
    with Project(tmp_path / "project", ["one", "two"], first_address=_address()) as project:
        yield project


def _need_sshd():
    if sshd_path() is None:
        pytest.skip("sshd is not installed; nothing is run on real hosts")
