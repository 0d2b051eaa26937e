"""The private servers themselves: a real account, and nothing left behind."""

import os
import stat
from pathlib import Path

import pytest
from sqlalchemy import make_url

from opsflow.errors import JournalUnavailable
from opsflow.journal import SqlJournal
from opsflow.testing.mariadb import PrivateMariaDB, installed
from opsflow.testing.postgresql import PrivatePostgreSQL


@pytest.fixture
def deep(tmp_path, mariadb):  # asks for the shared server to be skipped, or to fail, like everything that needs one
    assert installed()
    path = tmp_path / ("d" * 60) / ("e" * 60)
    path.mkdir(parents=True)
    return path


def test_a_private_mariadb_leaves_nothing_behind(deep):
    with PrivateMariaDB(deep) as server:
        url = server.create("game")
        assert url == server.url("game") == f"mysql://{server.user}:{server.password}@127.0.0.1:{server.port}/game"
        assert server.execute("SELECT 'é🎮'", database="game") == "é🎮\n"
        process, socket = Path(f"/proc/{server.pid}"), Path(server.socket)
        assert process.exists()
        assert socket.exists()
        assert server.password not in (process / "cmdline").read_text()
    assert not process.exists()
    assert not socket.parent.exists()
    assert os.listdir(deep) == []


def test_a_private_postgresql_is_not_roots_and_leaves_nothing_behind(postgresql, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    for directory in (tmp_path, *tmp_path.parents):  # another account has to reach it
        if not directory.stat().st_mode & stat.S_IXOTH:
            directory.chmod(0o711)
    with PrivatePostgreSQL() as server:
        url = server.create("game")
        assert url == server.url("game") == f"postgresql://{server.user}:{server.password}@127.0.0.1:{server.port}/game"
        assert server.execute("SELECT 'é🎮', 1", database="game") == "é🎮\t1\n"
        process = Path(f"/proc/{server.pid}")
        assert process.stat().st_uid != 0
        assert server.password not in (process / "cmdline").read_text()
        assert len(os.listdir(tmp_path)) == 1
    assert not process.exists()
    assert os.listdir(tmp_path) == []


def test_a_private_server_wants_its_password(server, server_url):
    with pytest.raises(JournalUnavailable, match=r"denied|authentication failed"):
        SqlJournal.open(server_url.replace(server.password, "wrong"))


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_private_server_comes_back_on_its_port_with_its_data(server, end):
    database = make_url(server.create(f"back_{end}")).database
    server.execute("CREATE TABLE t (a INT); INSERT INTO t VALUES (7)", database=database)
    port = server.port
    getattr(server, end)()
    with pytest.raises(RuntimeError):
        server.execute("SELECT 1")
    server.restart()
    assert server.port == port
    assert server.execute("SELECT a FROM t", database=database) == "7\n"
