"""A small form of the large maintenance, which is run whole by `make large`."""

import pytest
from large import maintain

from opsflow.testing import mariadb

_MOST = 64
"""MiB that a process on a host may have."""


@pytest.fixture(scope="module")
def told(sshd_possible, tmp_path_factory):
    if not mariadb.installed():
        reason = "MariaDB is not installed"
        pytest.skip(reason)
    return maintain(tmp_path_factory.mktemp("large"), 4)


def test_a_database_that_a_backup_was_restored_into_is_what_it_was(told):
    assert told.rows > 3000
    assert told.equal
    assert told.copied


def test_no_process_on_a_host_needs_much_memory(told):
    on_hosts = {program: peak for program, peak in told.peaks.items() if program != "python"}
    assert {"mariadb", "mariadb-dump", "sh"} <= on_hosts.keys()
    assert max(on_hosts.values()) < _MOST


def test_the_password_is_in_no_command_line_and_in_no_file(told):
    assert told.looks > 20
    assert told.revealed == []
    assert told.found == []
