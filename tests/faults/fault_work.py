"""A run that goes every way there is, on two real hosts; `fault_witness` tells what has to be true of it."""

import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

from fault_boundaries import AT_END, BACK, FORWARD
from fault_ground import Ground
from sqlalchemy import create_engine, make_url, text

from opsflow.errors import UnknownRun
from opsflow.model import RunState

PLUGIN = Path(__file__).parent / "plugins" / "witnessed.py"
NEEDS = {
    "first": (),
    "wide": ("first",),
    "again": ("first",),
    "between": ("first",),
    "last": ("wide", "again", "between"),
    "breaks": ("last",),
    AT_END: (),
}
"""The steps, and what each needs on all hosts."""
FAILING_TRIES = {"again": 1, "between": 1, "breaks": 9}
"""How many attempts of a step fail."""
PARTS = {"first": 2}
"""How many commands a step has, if not one."""
PLAYBOOK = f"""
flow = "graph"
[inputs]
sound = {{ type = "boolean", default = true }}
pace = {{ type = "number", default = 0.0 }}

[defaults]
per = "all"

[[step]]
id = "first"
task = "witnessed"
hosts = "all"
with = {{ parts = 2, pace = "{{{{ pace }}}}" }}

[[step]]
id = "wide"
task = "witnessed"
hosts = "all"
needs = ["first"]
retry = {{ attempts = 2, delay = "50ms" }}
with = {{ pace = 0.3, sticks = true }}

[[step]]
id = "again"
task = "witnessed"
hosts = "all"
needs = ["first"]
retry = {{ attempts = 2, delay = "60ms" }}
with = {{ fails = 1 }}

[[step]]
id = "between"
task = "witnessed"
hosts = "all[0]"
needs = ["first"]
retry = {{ attempts = 2, delay = "40ms", revert_between = true }}
with = {{ fails = 1 }}

[[step]]
id = "last"
task = "witnessed"
hosts = "all"
needs = ["wide", "again", "between"]
with = {{ pace = "{{{{ pace }}}}" }}

[[step]]
id = "breaks"
task = "witnessed"
hosts = "all[0]"
needs = ["last"]
when = "not sound"
with = {{ fails = 9 }}

[[step]]
id = "{AT_END}"
task = "witnessed"
hosts = "all"
finally = true
with = {{ puts = false }}
"""
APPLY = ("apply", "play.toml", "--yes")
FAILING = (*APPLY, "-e", "sound:=false")
ENDS = {FORWARD: RunState.SUCCEEDED, BACK: RunState.ROLLED_BACK}


class Stage(Ground):
    """Two hosts, a journal and the playbook.

    Args:
        fleet: The hosts.
        project: Directory of the project, made here.
        url: Of the journal; None: SQLite in the project.
        disk: The small disk that the journal is on, if it is.
        cutter: Cuts connections to the journal's server, if something does.
        restarts: File with a line for each time that this server was restarted.
    """

    def __init__(self, fleet, project, url=None, *, disk=None, cutter=None, restarts=None):
        super().__init__(fleet, project, url)
        self.disk = disk
        self.cutter = cutter
        self._restarts = restarts
        self.witness = fleet.home(fleet.names[0]).parent / "witness"
        (project / "plugins").mkdir()
        shutil.copy(PLUGIN, project / "plugins")
        self.playbook(PLAYBOOK)

    def restarts(self):
        """How often the journal's server was restarted."""
        return self._restarts.read_text().count("\n") if self._restarts and self._restarts.exists() else 0

    @contextmanager
    def through_cutter(self):
        """Commands reach the journal through what cuts connections."""
        settings = self.project / "opsflow.toml"
        straight = settings.read_text()
        url = make_url(self.url).set(port=self.cutter.port).render_as_string(hide_password=False)
        settings.write_text(straight.replace(self.url, url))
        try:
            yield
        finally:
            settings.write_text(straight)

    def clear(self):
        """Let the hosts be as before the first run; what opsflow has there stays."""
        self.settle()
        self.witness.write_text("")
        for name in self.fleet.names:
            for path in self.fleet.home(name).iterdir():
                if path.name != ".opsflow":
                    path.unlink()

    def newest(self):
        """The newest run; None: there is none."""
        with suppress(UnknownRun):
            return self.seen().run
        return None

    def drop(self):
        """Leave nothing of the journal, not even its tables."""
        url = make_url(self.url)
        if url.get_backend_name() == "sqlite":
            for path in Path(url.database).parent.glob("journal.db*"):
                path.unlink()  # with what SQLite has beside it
            return
        engine = create_engine(url.set(drivername="mysql+pymysql"))
        with engine.begin() as connection:
            connection.execute(text(f"DROP DATABASE `{url.database}`"))
            connection.execute(text(f"CREATE DATABASE `{url.database}` CHARACTER SET utf8mb4"))
        engine.dispose()

    def forget(self):
        """Leave nothing of a round that went wrong."""
        self.clean()
        for name in self.fleet.names:
            self.fleet.restart(name)
        self.wipe()
        self.drop()
