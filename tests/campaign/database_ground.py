"""A game's database, a host from which it is reached, and the project that backs it up and migrates it."""

import sys
from contextlib import ExitStack, contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from campaign_ground import SSHD, Ground, Target
from database_engines import Mysql, Postgresql, Sqlite
from database_schema import PLAYS, schema, scripts

from opsflow.testing import SshdFleet
from opsflow.testing.mariadb import PrivateMariaDB
from opsflow.testing.mariadb import installed as mariadb_installed
from opsflow.testing.postgresql import PrivatePostgreSQL
from opsflow.testing.postgresql import installed as postgresql_installed
from opsflow.testing.sshd import sshd_path

ENGINES = ("sqlite", "mysql", "postgresql")
TASKS = ("backup", "migrate")
_PLAYBOOK = """\
name = "PLAY"
[defaults]
on_unknown = "rerun"
[[step]]
id = "backup"
task = "backup_db"
hosts = "all"
with = { WHERE, verify = "restore" }
[[step]]
id = "migrate"
task = "migrate_db"
hosts = "all"
with = { WHERE, scripts = "PLAY", restore_from = "{{ outputs.backup.path }}", allow_restore = true }
"""


class Kept:
    """A game's database, its host and its project.

    Args:
        database: The database.
        target: The host from which it is reached.
        ground: The project.
        rows: How many the game has.

    Attributes:
        old: What the database holds at first.
        new: What it holds once it is migrated, by playbook.
        rows: How many rows it has at first, by table.
    """

    def __init__(self, database, target, ground, rows):
        self.database, self.target, self.ground = database, target, ground
        made = schema(database.engine, rows)
        self.new = {}
        for play in PLAYS:
            (ground.project / play).mkdir()
            text = _PLAYBOOK.replace("WHERE", database.where).replace("PLAY", play)
            (ground.project / f"{play}.toml").write_text(text)
            database.reset(made)
            for script in scripts(database.engine, play):
                script.write(ground.project / play)
                database.run("\n".join(script.do))
            self.new[play] = database.content()
        database.reset(made)
        self.old = database.content()
        self.rows = {name: int(found[0][0]) for name, found in self.old.items() if name != "shapes"}
        (target.home / "tmp").mkdir()


@contextmanager
def kept(directory, engine, rows, *, address="127.0.148.1"):
    """A game's database of an engine, with a server of its own."""
    with ExitStack() as running:
        home = directory / engine
        # One host whose temporary files can be told from those of others.
        place = f"SetEnv OPSFLOW_FLEET={home} HOME={home} TMPDIR={home}/tmp"
        fleet = running.enter_context(SshdFleet(directory, [engine], first_address=address, options=[place]))
        target = Target(name=engine, fleet=fleet, kind=SSHD, shell="dash")
        ground = Ground([target], directory / "project")
        if engine == "sqlite":
            database = Sqlite(home)
        else:
            private, kind = (
                (PrivateMariaDB(directory), Mysql) if engine == "mysql" else (PrivatePostgreSQL(), Postgresql)
            )
            database = kind(running.enter_context(private), ground.project / "password")
        yield Kept(database, target, ground, rows)


def missing():
    """Why there can be no such databases here; empty if there can."""
    there = {"sshd": sshd_path(), "MariaDB": mariadb_installed(), "PostgreSQL": postgresql_installed()}
    return ", ".join(f"{name} is not installed" for name, found in there.items() if not found)
