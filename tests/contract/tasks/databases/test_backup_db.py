"""backup_db on real databases: consistent, complete, private, or not there at all."""

import gzip
import hashlib
import json
import os
import re
import shlex
import shutil
import sqlite3
import stat
import subprocess
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pymysql
import pytest
from pydantic import ValidationError

from opsflow.errors import TaskFailed
from opsflow.model import Action
from opsflow.testing import make_context
from opsflow.transport.local import LocalTransport
from opsflow_tasks import backup_db

DATA = {
    "sqlite": "CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT); INSERT INTO t (v) VALUES ('ä ''x''')",
    "mysql": "CREATE TABLE t (id INTEGER PRIMARY KEY AUTO_INCREMENT, v TEXT, b BLOB) ENGINE=InnoDB;"
    "INSERT INTO t (v, b) VALUES ('ä ''x'' 😀', 0x00ff0a27)",
    "postgresql": "CREATE TABLE t (id serial PRIMARY KEY, v TEXT, b bytea);"
    "INSERT INTO t (v, b) VALUES ('ä ''x'' 😀', '\\x00ff0a27')",
}


@pytest.fixture
def backup(database, node):
    database.execute(DATA[database.engine])
    return node(backup_db, database, database.params())


def files(home):
    return sorted(p.name for p in (home / "backups").rglob("*")) if (home / "backups").exists() else []


def test_a_backup_is_what_its_outputs_and_its_manifest_say(backup, home):
    outputs = backup.apply()
    path = Path(outputs["path"])
    assert path.parent == home / "backups"
    assert outputs["bytes"] == path.stat().st_size
    assert outputs["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = json.loads(Path(outputs["manifest"]).read_text())
    assert {k: manifest[k] for k in ("engine", "database", "sha256", "bytes", "run")} == {
        k: outputs[k] for k in ("engine", "database", "sha256", "bytes")
    } | {"run": backup.run_id}
    assert manifest["tool"].startswith(("sqlite3 3", "mariadb-dump", "pg_dump (PostgreSQL)"))
    assert manifest["created"].endswith("Z")
    assert manifest["contents"] == hashlib.sha256(Path(f"{path}.contents").read_bytes()).hexdigest()


def test_files_are_private(backup, home):
    outputs = backup.apply()
    for name in ("path", "manifest"):
        assert stat.S_IMODE(os.stat(outputs[name]).st_mode) == 0o600
    assert stat.S_IMODE((home / "backups").stat().st_mode) == 0o700


def test_the_preview_names_database_engine_size_and_file(backup):
    summary = backup.plan().summary
    assert backup.database.engine in summary
    assert "iB) to backups/" in summary


def test_plan_takes_one_round_trip_and_changes_nothing(backup, home):
    backup.plan()
    assert backup.transport.reads == 1
    assert files(home) == []


def test_an_interrupted_attempt_whose_backup_is_there_is_settled_with_the_same_outputs(backup):
    outputs = backup.apply()
    settled = backup.plan()
    assert settled.action is Action.UNCHANGED
    assert settled.outputs == outputs
    assert backup.again(attempt=2).plan().outputs == outputs


def test_another_run_makes_its_own_backup(backup):
    backup.apply()
    assert backup.again(run_id="another").plan().action is Action.CHANGE


def test_a_damaged_backup_of_this_run_does_not_settle_it(backup):
    outputs = backup.apply()
    with open(outputs["path"], "ab") as file:
        file.write(b"x")
    assert backup.plan().action is Action.CHANGE


@pytest.mark.parametrize("before", [True, False])
def test_an_interruption_leaves_a_good_backup_or_nothing(backup, home, before):
    preview = backup.plan()
    assert backup.interrupted(preview, 1, before=before)
    backup.revert(preview)
    backup.revert(preview)
    assert len(files(home)) == (0 if before else 3)
    assert backup.plan().action is (Action.CHANGE if before else Action.UNCHANGED)


def test_a_backup_is_fetched_with_its_manifest(database, node, tmp_path):
    database.execute(DATA[database.engine])
    project = tmp_path / "project"
    outputs = node(backup_db, database, database.params(fetch="copies"), project=project).apply()
    copy = project / "copies/localhost" / Path(outputs["path"]).name
    assert outputs["fetched"] == str(copy)
    assert copy.read_bytes() == Path(outputs["path"]).read_bytes()
    manifest = copy.with_name(copy.name + ".manifest.json")
    assert manifest.read_bytes() == Path(outputs["manifest"]).read_bytes()
    assert [stat.S_IMODE(path.stat().st_mode) for path in (copy, manifest, copy.parent)] == [0o600, 0o600, 0o700]


def test_what_could_not_be_fetched_is_fetched_by_the_next_attempt_without_another_backup(backup, home, tmp_path):
    (tmp_path / "copies").write_text("a file")
    fetching = backup.again(project=tmp_path, params={"fetch": "copies"})
    with pytest.raises(TaskFailed, match="a file is where its directory should be"):
        fetching.apply()
    made = files(home)
    (tmp_path / "copies").unlink()
    again = fetching.again(attempt=2)
    assert again.plan().summary.startswith("fetch ")
    outputs = again.apply()
    assert files(home) == made
    assert again.plan().outputs == outputs
    Path(outputs["fetched"]).write_text("damaged")
    assert again.plan().action is Action.CHANGE
    again.revert(again.plan())
    assert files(home) == made


def test_a_copy_for_which_there_is_no_space_here_is_refused_beforehand(backup, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 5))
    preview = backup.again(project=tmp_path, params={"fetch": "copies"}).plan()
    assert preview.action is Action.FAIL
    assert "not enough space here in copies: 5 B free" in preview.summary + preview.why


@pytest.mark.parametrize("by", ["a revert", "the next attempt"])
def test_what_a_killed_attempt_left_is_removed_and_nothing_else(backup, home, by):
    kept = [backup.again(run_id="another").apply()["path"]]
    preview = backup.plan()
    name = preview.before["name"]
    (home / "backups" / f".{name}.partial").mkdir()
    (home / "backups" / f".{name}.partial" / "data").touch()
    for left in (name, f"{name}.contents", f".{name}.manifest", "mine.txt"):
        (home / "backups" / left).touch()
    if by == "a revert":
        backup.revert(preview)
    else:
        kept.append(backup.again(attempt=2).apply()["path"])
    whole = [Path(path).name + end for path in kept for end in ("", ".contents", ".manifest.json")]
    assert files(home) == sorted([*whole, "mine.txt"])


def test_a_revert_keeps_a_good_backup(backup):
    preview = backup.plan()
    outputs = backup.execute(preview)
    backup.revert(preview, outputs)
    assert Path(outputs["path"]).exists()


def created(manifest, when):
    """Say in a manifest when its backup was made."""
    manifest.write_text(re.sub(r'"created": "[^"]*"', f'"created": "{when}"', manifest.read_text()))


def test_old_backups_go_and_protected_ones_and_those_of_this_run_stay(backup):
    old = [backup.again(run_id=f"run-{n}", params={"directory": f"other-{n}"}).apply() for n in range(4)]
    directory = Path(old[0]["path"]).parents[1] / "backups"
    directory.mkdir()
    for n, outputs in enumerate(old):  # a second apart, as they would be
        for path in (outputs["path"], outputs["manifest"], f"{outputs['path']}.contents"):
            shutil.move(path, directory)
        name = Path(outputs["path"]).name
        created(directory / f"{name}.manifest.json", f"2026-01-01T00:00:0{n}Z")
    names = [Path(outputs["path"]).name for outputs in old]
    (directory / "foreign.manifest.json").write_text('{"engine": "sqlite", "database": "/else", "created": "1"}')
    newest = backup.again(params={"keep": 2, "protect": [str(directory / names[0])]})
    outputs = newest.apply()
    left = {p.name.removesuffix(".contents") for p in directory.iterdir() if not p.name.endswith(".json")}
    assert left == {names[0], names[3], Path(outputs["path"]).name}
    assert (directory / "foreign.manifest.json").exists()
    assert backup.again(attempt=2, params={"keep": 1}, run_id="run-3").plan().action is Action.UNCHANGED


@pytest.mark.parametrize(
    ("policy", "left"),
    [
        ({"keep": 2}, 2),
        ({"keep_for": "36h"}, 2),
        ({"keep_for": "1s"}, 1),
        ({"keep": 4, "keep_for": "36h"}, 4),
        ({"keep": 1, "keep_for": "240h"}, 5),
        ({}, 5),
    ],
)
def test_backups_are_kept_by_number_and_by_age(sqlite, node, policy, left):
    sqlite.execute(DATA["sqlite"])
    for days in (1, 2, 3, 4):
        outputs = node(backup_db, sqlite, sqlite.params(), run_id=f"run-{days}").apply()
        path = Path(outputs["manifest"])
        created(path, f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}")
    outputs = node(backup_db, sqlite, sqlite.params(**policy)).apply()
    there = list((sqlite.home / "backups").glob("*.json"))
    assert len(there) == left
    assert Path(outputs["manifest"]) in there


def test_backups_made_for_another_host_stay_until_its_run_is_over_for_certain(sqlite, node):
    sqlite.execute(DATA["sqlite"])
    manifests = {}
    for host, days in (("other", 3), ("other", 9), ("localhost", 3)):
        outputs = node(backup_db, sqlite, sqlite.params(), run_id=f"{host}-{days}", host=host).apply()
        manifests[host, days] = Path(outputs["manifest"])
        created(manifests[host, days], f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%dT%H:%M:%SZ}")
    new = Path(node(backup_db, sqlite, sqlite.params(keep=1)).apply()["manifest"])
    assert set(new.parent.glob("*.json")) == {new, manifests["other", 3]}
    newest = Path(node(backup_db, sqlite, sqlite.params(keep=1, keep_others="1h"), run_id="last").apply()["manifest"])
    assert list(new.parent.glob("*.json")) == [newest]


def test_a_missing_database_fails_the_preview(backup):
    missing = backup.again(params={"database": "nowhere"}).plan()
    assert missing.action is Action.FAIL
    assert "nowhere" in missing.why


def test_a_connection_is_refused_for_a_file():
    with pytest.raises(ValidationError, match="an sqlite database is a file"):
        backup_db.Params(engine="sqlite", database="x", connection={"port": 1})


def test_two_passwords_are_refused():
    with pytest.raises(ValidationError, match="exclude each other"):
        backup_db.Params(
            engine="mysql", database="x", connection={"password": {"$secret": "env:X"}, "defaults_file": "/f"}
        )


def test_an_sqlite_backup_taken_while_others_write_is_whole(sqlite, node):
    sqlite.execute("PRAGMA journal_mode=WAL; CREATE TABLE t (a, b); INSERT INTO t VALUES (0, 0)")
    over = threading.Event()

    def write():
        connection = sqlite3.connect(sqlite.path, timeout=10)
        while not over.is_set():
            with connection:
                connection.execute("UPDATE t SET a = a + 1")
                connection.execute("UPDATE t SET b = b + 1")
        connection.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        outputs = node(backup_db, sqlite, sqlite.params(compress="none")).apply()
    finally:
        over.set()
        thread.join()
    connection = sqlite3.connect(outputs["path"])
    assert connection.execute("SELECT a = b, (SELECT COUNT(*) FROM t) FROM t").fetchall() == [(1, 1)]
    connection.close()


def test_a_look_at_an_sqlite_database_leaves_no_files_behind(sqlite, node, home):
    sqlite.execute("PRAGMA journal_mode=WAL; CREATE TABLE t (a)")
    node(backup_db, sqlite, sqlite.params()).plan()
    assert [p.name for p in home.iterdir()] == [sqlite.name]


def test_a_file_that_is_no_database_fails_the_preview(sqlite, node):
    sqlite.path.write_bytes(b"this is no database at all" * 100)
    preview = node(backup_db, sqlite, sqlite.params()).plan()
    assert preview.action is Action.FAIL
    assert "not a database" in preview.why


def test_a_missing_tool_fails_the_preview(sqlite, node, monkeypatch, tmp_path):
    for name in ("sh", "cat", "sleep"):
        (tmp_path / name).symlink_to(shutil.which(name))
    monkeypatch.setenv("PATH", str(tmp_path))
    preview = node(backup_db, sqlite, sqlite.params()).plan()
    assert preview.action is Action.FAIL
    assert "sqlite3 is not installed" in preview.why


@pytest.mark.parametrize("compress", ["gzip", "zstd", "none"])
def test_a_mysql_backup_fed_to_another_schema_makes_it_equal(mysql, node, compress):
    mysql.execute(DATA["mysql"])
    mysql.execute("CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.v = CONCAT(NEW.v, ';')")
    mysql.execute("DELIMITER $$\nCREATE PROCEDURE p() BEGIN SELECT 1; SELECT 2; END $$")
    outputs = node(backup_db, mysql, mysql.params(compress=compress)).apply()
    data = Path(outputs["path"]).read_bytes()
    assert data[:4] == {"gzip": b"\x1f\x8b\x08\x00", "zstd": b"\x28\xb5\x2f\xfd", "none": data[:4]}[compress]
    text = {"gzip": gzip.decompress, "zstd": unzstd, "none": bytes}[compress](data).decode()
    mysql.server.create("scratch")
    mysql.execute(text, "scratch")
    assert mysql.dump("scratch") == mysql.dump()
    assert len(mysql.dump()) >= 4


def unzstd(data):
    return subprocess.run(["zstd", "-qdc"], input=data, stdout=subprocess.PIPE, check=True).stdout


def test_a_compressor_that_is_missing_fails_the_preview(backup, monkeypatch, tmp_path):
    for path in os.environ["PATH"].split(":"):
        for name in os.listdir(path) if os.path.isdir(path) else ():
            if name != "zstd" and not (tmp_path / name).exists():
                (tmp_path / name).symlink_to(os.path.join(path, name))
    monkeypatch.setenv("PATH", str(tmp_path))
    assert backup.again(params={"compress": "zstd"}).plan().why.endswith("zstd is not installed")
    assert backup.plan().action is Action.CHANGE


def test_the_manifest_tells_versions_rows_and_the_place_in_the_log(backup, database):
    database.execute(
        'CREATE TABLE "odd ""name" (x INT)' if database.engine != "mysql" else 'CREATE TABLE `odd "name` (x INT)'
    )
    manifest = json.loads(Path(backup.apply()["manifest"]).read_text())
    schema = "public." if database.engine == "postgresql" else ""
    assert manifest["rows"] == {f"{schema}t": 1, f'{schema}odd "name': 0}
    assert manifest["server"][0].isdigit() or manifest["server"].startswith("sqlite3 3")
    if database.engine == "sqlite":
        assert manifest["position"] is None
    elif database.engine == "mysql":
        assert manifest["position"]["file"].startswith("log.0")
        assert manifest["position"]["position"] > 300
    else:
        assert "/" in manifest["position"]


def scratches(database):
    listing = {"mysql": "SHOW DATABASES", "postgresql": "SELECT datname FROM pg_database"}[database.engine]
    return [row[0] for row in database.execute(listing) if "opsflow_verify" in row[0]]


@pytest.fixture(params=["mysql", "postgresql"])
def server(request):
    return request.getfixturevalue(request.param)


DUMPERS = {"mysql": "mariadb-dump", "postgresql": "pg_dump"}


def test_a_backup_can_be_tried_by_restoring_it(server, node):
    server.execute(DATA[server.engine])
    server.execute("CREATE VIEW v AS SELECT * FROM t")
    backup = node(backup_db, server, server.params(verify="restore"))
    outputs = backup.apply()
    manifest = json.loads(Path(outputs["manifest"]).read_text())
    assert manifest["verified"] == "restore"
    assert list(manifest["rows"].values()) == [1]
    assert scratches(server) == []
    assert backup.plan().outputs == outputs


def test_an_account_that_may_not_make_the_scratch_database_is_told_before_the_dump_and_its_revert_needs_nobody(
    server, node, shim, tmp_path
):
    server.execute(DATA[server.engine])
    if server.engine == "mysql":
        server.server.execute(
            "CREATE OR REPLACE USER 'poor'@'127.0.0.1' IDENTIFIED BY 'poor-4711';"
            f" GRANT SELECT, LOCK TABLES, SHOW VIEW, TRIGGER, EVENT ON {server.quoted}.* TO 'poor'@'127.0.0.1'"
        )
    else:
        server.server.execute("DROP ROLE IF EXISTS poor")
        server.server.execute("CREATE ROLE poor LOGIN PASSWORD 'poor-4711' IN ROLE pg_read_all_data")
    server.secrets = {"env:POOR": "poor-4711"}
    connection = server.params()["connection"] | {"user": "poor", "password": {"$secret": "env:POOR"}}
    shim(DUMPERS[server.engine], f'case "$*" in *version*) ;; *) touch {tmp_path}/dumped ;; esac; exec "$real" "$@"')
    backup = node(backup_db, server, server.params(verify="restore", connection=connection))
    preview = backup.plan()
    with pytest.raises(TaskFailed, match=r"(denied|permission).*to try the backup in, cannot be made"):
        backup.execute(preview)
    assert not (tmp_path / "dumped").exists()
    backup.revert(preview)
    assert files(server.home) == []


def test_events_are_in_a_backup_but_do_not_go_off_where_it_is_tried(mysql, node, shim):
    mysql.server.create("plain")  # odd names keep mariadb-dump from events
    mysql.execute("CREATE TABLE t (x INT); CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO DELETE FROM t", "plain")
    mysql.execute("CREATE PROCEDURE p() SELECT 1", "plain")
    seen = mysql.home / "seen"
    shim(
        "comm",
        f"""
name=$(echo "SHOW DATABASES LIKE 'opsflow_verify_%'" | {client(mysql)} | tail -n 1)
echo "SHOW EVENTS FROM $name; SHOW PROCEDURE STATUS WHERE db = '$name'" | {client(mysql)} | cut -f 2 >>{shlex.quote(str(seen))}
exec "$real" "$@"
""",
    )
    outputs = node(backup_db, mysql, mysql.params(database="plain", verify="restore", compress="none")).apply()
    assert "EVENT `e`" in Path(outputs["path"]).read_text()
    assert set(seen.read_text().split()) == {"Name", "p"}


def client(server):
    """What a shell starts to run statements, in the environment of opsflow's clients."""
    name = f" {shlex.quote('--database=' + server.name)}" if server.engine == "mysql" else ""
    program = {"mysql": "mariadb --no-defaults --user=odd", "postgresql": "psql --quiet --username=odd"}[server.engine]
    return f"{program} --host=127.0.0.1 --port={server.server.port}{name}"


def test_a_backup_that_lacks_rows_is_none(server, node, shim):
    """A dump may end well, and with its last line, and still not be whole."""
    server.execute(DATA[server.engine])
    server.execute("CREATE TABLE u (x INT); INSERT INTO u VALUES (41)")
    shim(DUMPERS[server.engine], '"$real" "$@" | sed "/^41$/d; /^(41);/d; /^INSERT INTO .u/d"')
    assert node(backup_db, server, server.params(), run_id="unaware").apply()["bytes"]
    with pytest.raises(TaskFailed, match=r'the backup does not have the rows that it should: "(public\.)?u": 1'):
        node(backup_db, server, server.params(verify="restore", directory="tried")).apply()
    assert scratches(server) == []
    assert list((server.home / "tried").iterdir()) == []


def test_tables_written_to_meanwhile_are_not_compared(server, node, shim):
    server.execute(DATA[server.engine])
    insert = f"""echo "INSERT INTO t (v) VALUES ('new')" | {client(server)} >&2"""
    shim(
        DUMPERS[server.engine],
        f"""
case "$*" in *help* | *version*) ;; *) {insert} ;; esac
exec "$real" "$@"
""",
    )
    manifest = json.loads(
        Path(node(backup_db, server, server.params(verify="restore")).apply()["manifest"]).read_text()
    )
    assert list(manifest["rows"].values()) == [2]


def test_what_a_killed_trial_leaves_on_the_server_is_removed_by_a_revert(server, node, shim, monkeypatch):
    server.execute(DATA[server.engine])
    backup = node(backup_db, server, server.params(verify="restore"))
    preview = backup.plan()
    with monkeypatch.context():
        shim("comm", "kill -9 $PPID; sleep 60")
        with pytest.raises(TaskFailed):
            backup.execute(preview)
    assert len(scratches(server)) == 1
    backup.revert(preview)
    assert scratches(server) == []
    assert files(server.home) == []


def test_a_mysql_backup_does_not_wait_for_writers_nor_see_what_they_have_not_committed(mysql, node):
    mysql.execute(DATA["mysql"])
    server = mysql.server
    account = {"host": "127.0.0.1", "port": server.port, "user": server.user, "password": server.password}
    writer = pymysql.connect(database=mysql.name, **account)
    try:
        with writer.cursor() as cursor:
            cursor.execute("INSERT INTO t (v) VALUES ('not committed')")
        outputs = node(backup_db, mysql, mysql.params(compress="none", timeout="20s")).apply()
    finally:
        writer.close()
    assert "not committed" not in Path(outputs["path"]).read_text()


def test_tables_that_a_transaction_does_not_hold_are_refused_by_name(mysql, node):
    mysql.execute(
        "CREATE TABLE m (a INT) ENGINE=MyISAM; CREATE TABLE i (a INT) ENGINE=InnoDB; CREATE VIEW v AS SELECT 1"
    )
    preview = node(backup_db, mysql, mysql.params()).plan()
    assert preview.action is Action.FAIL
    assert "would not be consistent: m (MyISAM);" in preview.why
    assert 'nontransactional = "lock"' in preview.why


def test_tables_that_a_transaction_does_not_hold_can_be_locked_instead(mysql, node, watch):
    mysql.execute("CREATE TABLE m (a INT) ENGINE=MyISAM; INSERT INTO m VALUES (1)")
    backup = node(backup_db, mysql, mysql.params(nontransactional="lock", compress="none"))
    assert backup.plan().summary.endswith("; its tables are locked against writers meanwhile")
    outputs, seen = watch(backup.apply)
    assert "INSERT INTO `m`" in Path(outputs["path"]).read_text()
    dumps = [line for line in seen if "--hex-blob" in line and f"--port={mysql.server.port}" in line]
    assert dumps
    assert all("--lock-tables" in line and "--single-transaction" not in line for line in dumps)
    assert not any("--master-data" in line for line in dumps)  # it would lock the whole server
    assert json.loads(Path(outputs["manifest"]).read_text())["position"] is None


def test_the_password_is_on_no_command_line(mysql, node, watch):
    mysql.execute(DATA["mysql"])
    backup = node(backup_db, mysql, mysql.params())
    outputs, seen = watch(backup.apply)
    assert outputs["bytes"]
    assert any("mariadb-dump" in line for line in seen)
    assert not any(mysql.secrets["env:DATABASE_PASSWORD"] in line for line in seen)


def test_an_option_file_of_the_login_does_not_beat_the_password(mysql, node, home):
    (home / ".my.cnf").write_text("[client]\npassword=wrong\n")
    assert node(backup_db, mysql, mysql.params()).plan().action is Action.CHANGE


def test_an_option_file_can_hold_everything(mysql, node, home):
    file = home / "options.cnf"
    file.write_text(f"[client]\nsocket={mysql.server.socket}\nuser=tester\npassword={mysql.server.password}\n")
    given = {"engine": "mysql", "database": mysql.name, "connection": {"defaults_file": str(file)}}
    assert node(backup_db, mysql, given).apply()["bytes"]


def test_a_wrong_password_fails_the_preview_with_what_the_client_says(mysql, node):
    mysql.secrets = {"env:DATABASE_PASSWORD": "wrong"}
    preview = node(backup_db, mysql, mysql.params()).plan()
    assert preview.action is Action.FAIL
    assert "Access denied" in preview.why


@pytest.mark.parametrize("compress", ["gzip", "none"])
def test_a_dump_that_is_killed_is_no_backup(server, node, shim, compress):
    server.execute(DATA[server.engine])
    shim(
        DUMPERS[server.engine],
        """
case "$*" in *help* | *version*) exec "$real" "$@" ;; esac
"$real" "$@" | head -c 900
kill -9 $$
""",
    )
    with pytest.raises(TaskFailed, match=r"the dump failed \(exit status 137\)"):
        node(backup_db, server, server.params(compress=compress)).apply()
    assert files(server.home) == []


def test_a_stage_that_is_killed_in_an_sqlite_backup_is_noticed(sqlite, node, tmp_path, monkeypatch):
    sqlite.execute(DATA["sqlite"])
    tools = tmp_path / "tools"
    tools.mkdir()
    gzip_program = tools / "gzip"
    gzip_program.write_text(f'#!/bin/sh\n{shutil.which("gzip")} "$@"\nkill -9 $$\n')
    gzip_program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    with pytest.raises(TaskFailed, match=r"writing the backup failed \(exit status 137\)"):
        node(backup_db, sqlite, sqlite.params()).apply()
    assert files(sqlite.home) == []


def test_a_directory_that_cannot_be_written_fails_the_preview(sqlite, node, small_disk):
    (sqlite.home / "file").touch()
    why = node(backup_db, sqlite, sqlite.params(directory="file/backups")).plan().why
    assert "/file is not a directory" in why
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    why = node(backup_db, sqlite, sqlite.params(directory=f"{small_disk}/new")).plan().why
    assert f"may not write in {small_disk}" in why


def test_too_little_space_fails_the_preview(database, node, small_disk):
    fill(database)
    preview = node(backup_db, database, database.params(directory=str(small_disk), compress="none")).plan()
    assert preview.action is Action.FAIL
    assert "not enough space" in preview.why


def test_a_disk_that_fills_up_fails_clearly_and_holds_nothing_partial(database, node, small_disk):
    fill(database)
    backup = node(backup_db, database, database.params(directory=str(small_disk), compress="none"))
    roomy = backup.again(params={"directory": "backups"}).plan()
    preview = type(roomy)(
        **{
            **roomy.to_json(),
            "action": Action.CHANGE,
            "before": {**roomy.before, "directory": str(small_disk), "needed_kib": 1},
        }
    )
    with pytest.raises(TaskFailed, match=r"cannot back up .*(full|No space|writing|not whole|Errcode: 28)"):
        backup.execute(preview)
    assert list(small_disk.iterdir()) == []


def fill(database):
    if database.engine == "sqlite":
        database.execute("CREATE TABLE t (v BLOB); INSERT INTO t VALUES (randomblob(3000000))")
    elif database.engine == "postgresql":
        database.execute(
            "CREATE TABLE t (v text); INSERT INTO t SELECT repeat(md5(g::text), 32) FROM generate_series(1, 9000) g"
        )
    else:
        database.execute(
            "CREATE TABLE t (v LONGBLOB) ENGINE=InnoDB; INSERT INTO t VALUES (REPEAT('0123456789', 300000));"
            "ANALYZE TABLE t"
        )


@pytest.fixture
def small_disk(tmp_path):
    if os.geteuid():
        pytest.skip("a small file system takes root")
    path = tmp_path / "small"
    path.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", path], check=False).returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def test_looking_leaves_the_log_of_a_writer_that_was_killed_as_it_is(tmp_path):
    writer = sqlite3.connect(tmp_path / "live.db")
    writer.execute("PRAGMA journal_mode = wal")
    writer.execute("CREATE TABLE t (v)")
    writer.commit()
    for suffix in ("", "-wal"):
        shutil.copy(tmp_path / f"live.db{suffix}", tmp_path / f"killed.db{suffix}")
    writer.close()

    def found():
        return {p.name: p.read_bytes() for p in tmp_path.glob("killed.db*") if not p.name.endswith("-shm")}

    before = found()
    ctx = make_context(LocalTransport(tmp_path))
    params = backup_db.Params(engine="sqlite", database="killed.db")
    assert backup_db.plan(ctx, params).action is Action.CHANGE
    assert set(before) == {"killed.db", "killed.db-wal"}
    assert found() == before
