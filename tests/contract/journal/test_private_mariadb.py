"""The private server itself: a real account, and nothing left behind."""

import os
from pathlib import Path

import pytest

from opsflow.testing.mariadb import PrivateMariaDB, installed


@pytest.fixture
def deep(tmp_path, mariadb):  # asks for the shared server to be skipped, or to fail, like everything that needs one
    assert installed()
    path = tmp_path / ("d" * 60) / ("e" * 60)
    path.mkdir(parents=True)
    return path


def test_a_private_server_leaves_nothing_behind(deep):
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


def test_a_private_server_wants_its_password(mariadb):
    import pymysql

    with pytest.raises(pymysql.err.OperationalError, match="denied"):
        pymysql.connect(host="127.0.0.1", port=mariadb.port, user=mariadb.user, password="")


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_private_server_comes_back_on_its_port_with_its_data(mariadb, mariadb_url, end):
    database = mariadb_url.rpartition("/")[2]
    mariadb.execute("CREATE TABLE t (a INT) ENGINE=InnoDB; INSERT INTO t VALUES (7)", database=database)
    port = mariadb.port
    getattr(mariadb, end)()
    with pytest.raises(RuntimeError):
        mariadb.execute("SELECT 1")
    mariadb.restart()
    assert mariadb.port == port
    assert mariadb.execute("SELECT a FROM t", database=database) == "7\n"
