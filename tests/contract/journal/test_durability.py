"""What is confirmed stays: the settings of SQLite, of its file and of servers, and who may read along."""

import os
import sqlite3
import stat
import threading
import time

import pytest
from sqlalchemy import make_url

from opsflow.errors import JournalUnavailable
from opsflow.journal import SqlJournal
from opsflow.journal.sqlite import network_kind, wal_is_safe
from opsflow.testing.mariadb import PrivateMariaDB
from opsflow.testing.postgresql import PrivatePostgreSQL

DAMAGING, MENDED = (3, 40, 1), (3, 51, 3)


def pragma(journal, name):
    with journal.engine.connect() as connection:
        return connection.exec_driver_sql(f"PRAGMA {name}").scalar()


def as_version(monkeypatch, version):
    monkeypatch.setattr(sqlite3, "sqlite_version_info", version)


@pytest.mark.parametrize(("version", "mode"), [(DAMAGING, "truncate"), (MENDED, "wal")])
def test_sqlite_is_durable_and_private(tmp_path, samples, monkeypatch, version, mode):
    as_version(monkeypatch, version)
    old = os.umask(0)
    try:
        journal = SqlJournal.open(f"sqlite:///{tmp_path}/new/.opsflow/journal.db")
        samples.begin(journal)
    finally:
        os.umask(old)
    for name, value in (("journal_mode", mode), ("synchronous", 2), ("foreign_keys", 1)):
        assert pragma(journal, name) == value
    directory = tmp_path / "new" / ".opsflow"
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    files = list(directory.iterdir())
    assert len(files) > 1
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    journal.close()


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 7, 0), False), ((3, 44, 5), False), ((3, 44, 6), True), ((3, 44, 9), True), ((3, 45, 0), False),
        ((3, 50, 6), False), ((3, 50, 7), True), ((3, 51, 0), False), ((3, 51, 2), False), ((3, 51, 3), True),
        ((3, 52, 0), True), ((4, 0, 0), True),
    ],
)  # fmt: skip
def test_write_ahead_logging_is_for_versions_that_do_not_damage_it(version, safe):
    assert wal_is_safe(version) is safe


@pytest.mark.parametrize(("before", "after"), [(DAMAGING, MENDED), (MENDED, DAMAGING)])
def test_a_journal_goes_along_to_another_sqlite(tmp_path, samples, monkeypatch, before, after):
    url = f"sqlite:///{tmp_path}/journal.db"
    as_version(monkeypatch, before)
    first = SqlJournal.open(url)
    run = samples.begin(first)
    first.close()
    as_version(monkeypatch, after)
    second = SqlJournal.open(url)
    assert second.find(None) == run
    assert pragma(second, "journal_mode") == ("wal" if after == MENDED else "truncate")
    second.close()


def test_a_file_that_another_sqlite_has_open_with_write_ahead_logging_is_not_touched(tmp_path, samples, monkeypatch):
    url = f"sqlite:///{tmp_path}/journal.db"
    as_version(monkeypatch, MENDED)
    other = SqlJournal.open(url)
    samples.begin(other)
    with other.engine.connect() as connection:
        connection.exec_driver_sql("SELECT * FROM runs").all()
        as_version(monkeypatch, DAMAGING)
        monkeypatch.setattr("opsflow.journal.sqlite._BUSY_SECONDS", 0.2)
        with pytest.raises(JournalUnavailable, match="wait until that has ended"):
            SqlJournal.open(url)
    other.close()
    SqlJournal.open(url).close()


# Where the file is


def mounts(tmp_path, monkeypatch, *entries):
    """Let these be mounted: (directory, type) each."""
    lines = [f"1 1 8:1 / {place} rw,relatime shared:1 master:2 - {kind} what rw\n" for place, kind in entries]
    (tmp_path / "mountinfo").write_text("".join(lines))
    monkeypatch.setattr("opsflow.journal.sqlite._MOUNTS", tmp_path / "mountinfo")


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p"])
def test_a_file_on_a_network_file_system_is_refused_before_it_is_made(tmp_path, monkeypatch, kind):
    (tmp_path / "home").symlink_to(tmp_path / "shared")
    (tmp_path / "shared").mkdir()
    mounts(tmp_path, monkeypatch, ("/", "ext4"), (tmp_path / "shared", kind))
    with pytest.raises(JournalUnavailable, match="network file system") as error:
        SqlJournal.open(f"sqlite:///{tmp_path}/home/new/journal.db")
    assert kind in error.value.message
    assert "--journal" in error.value.hint
    assert os.listdir(tmp_path / "shared") == []
    SqlJournal.open(f"sqlite:///{tmp_path}/here/journal.db").close()


def test_the_mount_that_is_seen_counts(tmp_path, monkeypatch):
    inner = tmp_path / "shared" / "a local disk"
    escaped = str(inner).replace(" ", "\\040")
    mounts(tmp_path, monkeypatch, ("/", "ext4"), (tmp_path / "shared", "nfs"), (escaped, "nfs"), (escaped, "xfs"))
    assert network_kind(tmp_path / "shared" / "journal.db") == "nfs"
    assert network_kind(inner / "journal.db") == ""
    assert network_kind(tmp_path / "shared-not" / "journal.db") == ""


def test_a_machine_without_a_list_of_mounts_refuses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("opsflow.journal.sqlite._MOUNTS", tmp_path / "none")
    SqlJournal.open(f"sqlite:///{tmp_path}/journal.db").close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_a_journal_in_memory_is_one_for_all_threads(url, samples):
    journal = SqlJournal.open(url)
    run = samples.begin(journal, hosts=[f"h{n}" for n in range(20)])
    seen = []
    readers = [threading.Thread(target=lambda: seen.append(len(journal.nodes(run.id)))) for _ in range(8)]
    for reader in readers:
        reader.start()
    for n in range(20):
        journal.commit(run.id, samples.intent(run.id, f"stop@h{n}"))
    for reader in readers:
        reader.join()
    assert seen == [20] * 8
    journal.close()
    other = SqlJournal.open(url)
    assert other.runs() == []
    other.close()


# Servers


def refused(url, setting):
    with pytest.raises(JournalUnavailable, match="may lose what it has confirmed") as error:
        SqlJournal.open(url)
    assert setting in error.value.message
    assert "durable=no" in error.value.hint
    assert make_url(url).password not in error.value.message
    SqlJournal.open(f"{url}?durable=no").close()


@pytest.mark.parametrize("level", [0, 2])
def test_a_mariadb_that_does_not_sync_its_log_is_refused(mariadb, mariadb_url, level):
    mariadb.execute(f"SET GLOBAL innodb_flush_log_at_trx_commit = {level}")
    try:
        refused(mariadb_url, f"innodb_flush_log_at_trx_commit = {level}")
    finally:
        mariadb.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    SqlJournal.open(mariadb_url).close()


def test_a_mariadb_that_does_not_sync_its_binary_log_is_refused(mariadb, tmp_path):
    with PrivateMariaDB(tmp_path, flags=["--log-bin=binary", "--sync-binlog=0"]) as server:
        url = server.create("journal")
        refused(url, "sync_binlog = 0")
        server.execute("SET GLOBAL sync_binlog = 1")
        SqlJournal.open(url).close()


def test_a_postgresql_that_does_not_sync_is_refused(postgresql):
    def sync(value):
        postgresql.execute(f"ALTER SYSTEM SET fsync = {value}; SELECT pg_reload_conf()")
        while postgresql.execute("SHOW fsync").strip() != value:
            time.sleep(0.01)

    url = postgresql.create("unsynced")
    sync("off")
    try:
        refused(url, "fsync = off")
    finally:
        sync("on")
    SqlJournal.open(url).close()


@pytest.mark.parametrize(("there", "ours"), [("off", "on"), ("remote_apply", "remote_apply"), ("on", "on")])
def test_a_session_of_postgresql_waits_for_the_log(postgresql, there, ours):
    url = postgresql.create("waiting")
    postgresql.execute(f"ALTER DATABASE waiting SET synchronous_commit = {there}")
    journal = SqlJournal.open(url)
    with journal.engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == ours
        assert connection.exec_driver_sql("SHOW transaction_isolation").scalar() == "read committed"
    journal.close()


# TLS: what the URL says is what the driver does

TLS = {
    "mariadb": ("ssl_ca={}", "SHOW STATUS LIKE 'Ssl_version'"),
    "postgresql": (
        "sslmode=verify-full&sslrootcert={}",
        "SELECT pid, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()",
    ),
}


@pytest.fixture(scope="module", params=list(TLS))
def secured(request, tmp_path_factory):
    """A server with a certificate; the options that trust one, and the question which TLS there is."""
    request.getfixturevalue(request.param)  # for the case that it is not installed
    directory = tmp_path_factory.mktemp("secured")
    with PrivateMariaDB(directory, tls=True) if request.param == "mariadb" else PrivatePostgreSQL(tls=True) as server:
        yield server, *TLS[request.param]


def test_a_server_is_known_by_its_certificate(secured):
    server, trust, question = secured
    journal = SqlJournal.open(f"{server.create('secured')}?{trust.format(server.certificate)}")
    with journal.engine.connect() as connection:
        assert connection.exec_driver_sql(question).one()[1].startswith("TLS")
    journal.close()


def test_a_server_with_another_certificate_is_refused(secured, tmp_path):
    server, trust, _ = secured
    url = server.create("secured")
    refusal = pytest.raises(JournalUnavailable, match=r"(?i)certificate verify failed")
    with PrivatePostgreSQL(tls=True) as other, refusal:
        SqlJournal.open(f"{url}?{trust.format(other.certificate)}")


def test_a_server_under_another_name_than_its_certificates_is_refused(secured):
    server, trust, _ = secured
    url = server.create("secured").replace("127.0.0.1", "localhost")
    with pytest.raises(JournalUnavailable, match=r"localhost|[Hh]ostname"):
        SqlJournal.open(f"{url}?{trust.format(server.certificate)}")
