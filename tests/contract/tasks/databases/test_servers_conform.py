"""The conformance suite on databases of servers: cut short at every operation of execute and of revert."""

import pytest

from opsflow.testing import Case, check_conformance
from opsflow.transport.local import LocalTransport
from opsflow_tasks import backup_db, migrate_db

SCRIPTS = {
    "mysql": {
        "1_a.sql": "CREATE TABLE a (x INT);\nDELIMITER //\nCREATE PROCEDURE p() BEGIN SELECT 1; END//\n",
        "1_a.undo.sql": "DROP PROCEDURE p; DROP TABLE a",
    },
    "postgresql": {
        "1_a.sql": "CREATE TABLE a (x INT); CREATE INDEX CONCURRENTLY i ON a (x)",
        "1_a.undo.sql": "DROP INDEX CONCURRENTLY i; DROP TABLE a",
    },
}


@pytest.fixture(params=["mysql", "postgresql"])
def server(request):
    found = request.getfixturevalue(request.param)
    found.execute("CREATE TABLE old (x INT); INSERT INTO old VALUES (1)")
    return found


def check(server, task, directory, **params):
    host = LocalTransport(server.home)
    given = server.params(**params)
    check_conformance(
        Case(task=task, params=given, host=host, look=server.dump, directory=directory, secrets=server.secrets)
    )


def test_migrate_db(server, tmp_path):
    (tmp_path / "scripts").mkdir()
    for name, text in SCRIPTS[server.engine].items():
        (tmp_path / "scripts" / name).write_text(text)
    check(server, migrate_db, tmp_path, scripts="scripts")


def test_backup_db(server, tmp_path):
    check(server, backup_db, tmp_path, verify="restore")
