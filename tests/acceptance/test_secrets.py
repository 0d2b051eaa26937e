"""Secrets reach the hosts, and nothing else: no output, journal, event, file or command line holds one.

The site's databases are two private MariaDB servers, so that a password is needed to get at them.
"""

import hashlib
import json
from contextlib import ExitStack, contextmanager

import pytest
from command_line import step
from upgrade_site import DATABASES, PLAYBOOK, playing
from watching import Watched

from opsflow.testing.mariadb import PrivateMariaDB, installed

TOKEN = "the-token-that-nobody-may-see-4711"


class MariaDatabase:
    """A database on a server of its own."""

    def __init__(self, server, variable):
        self.server = server
        password = f"{{{{ secret('env:{variable}') }}}}"
        connection = {"host": "127.0.0.1", "port": server.port, "user": server.user, "password": password}
        self.vars = {"engine": "mysql", "database": "game", "connection": connection}

    def execute(self, sql):
        return [tuple(line.split("\t")) for line in self.server.execute(sql, database="game").splitlines()]

    def create(self):
        self.server.create("game")

    def contents(self):
        """The game's schema and rows; the history of migrations left out."""
        tables = [name for (name,) in self.execute("SHOW TABLES") if "opsflow" not in name]
        return {t: (self.execute(f"SHOW CREATE TABLE {t}"), self.execute(f"SELECT * FROM {t}")) for t in tables}


@pytest.fixture(scope="module")
def site(make_site, tmp_path_factory):
    """A site with MariaDB servers, on which release 1.0 runs."""
    if not installed():
        pytest.skip("MariaDB is not installed")
    with ExitStack() as stack:
        servers = [stack.enter_context(PrivateMariaDB(tmp_path_factory.mktemp(name))) for name in DATABASES]
        variables = ["PASSWORD_A", "PASSWORD_B"]
        databases = {n: MariaDatabase(s, v) for n, s, v in zip(DATABASES, servers, variables, strict=True)}
        site = stack.enter_context(make_site(databases=databases))
        site.environment |= {v: s.password for v, s in zip(variables, servers, strict=True)}
        site.environment["GAME_TOKEN"] = TOKEN
        site.install()
        yield site


@contextmanager
def no_secret_leaks(site):
    """Nothing that the block does shows a secret. Yields a list for what was printed."""
    secrets = [TOKEN, *(database.server.password for database in site.databases.values())]
    printed = []
    with Watched("cmdline") as lines:
        yield printed
    for secret in secrets:
        assert secret not in "".join(printed)
        assert not lines.hold(secret), "a command line showed a secret"
        for path in site.directory.rglob("*"):
            if path.is_file() and not path.is_symlink():
                assert secret.encode() not in path.read_bytes(), f"{path} holds a secret"
    # It has looked where there was something to see.
    assert lines.hold("opsflow")
    assert lines.hold("mariadb")
    assert b"env:PASSWORD_A" in b"".join(p.read_bytes() for p in site.directory.glob(".opsflow/journal.db*"))


def test_databases_behind_a_password_are_backed_up_migrated_and_put_back(site):
    before = site.facts()
    with no_secret_leaks(site) as printed:
        upgraded = site.upgrade("2.0", "-v", "--output", "jsonl")
        printed += [upgraded.out, upgraded.err]
        assert site.answers() == playing("2.0")
        for name, database in site.databases.items():
            assert database.execute("SELECT min(gold), max(gold) FROM player") == [("5", "5")]
            assert len(list(site.on(name).glob("backups/*.gz"))) == 2
        printed.append(site.opsflow("show", "-v").out)
        printed.append(site.opsflow("show", "--output", "json").out)
        site.opsflow("rollback", "--yes")
    assert site.facts() == before


def test_a_migration_that_fails_half_way_through_a_script_is_undone_on_every_server(site):
    site.databases["db-b"].execute("INSERT INTO player (id, name) VALUES (1000, 'player 1')")
    before = site.facts()
    with no_secret_leaks(site) as printed:
        failed = site.upgrade("2.0", "-v", "--debug", code=3)
        printed += [failed.out, failed.err]
    # No transaction holds a script here: its first statement had been applied.
    assert "0003_owner.sql, statement 2 of 2" in failed.err
    assert "what was before it is applied" in failed.err
    assert site.show().state == "rolled_back"
    assert site.facts() == before


def test_a_wrong_password_is_told_without_it(site):
    with no_secret_leaks(site) as printed:
        refused = site.opsflow(
            "apply", PLAYBOOK, "-e", "release=2.0", "--yes", code=3, env={"PASSWORD_B": "wrong-one-3141"}
        )
        printed += [refused.out, refused.err]
    assert "Access denied" in refused.err
    assert "wrong-one-3141" not in refused.out + refused.err


def test_a_command_gets_a_secret_and_shows_it_to_nobody(site):
    shows = 'echo "it is $TOKEN"; printf %s "$TOKEN" | sha256sum; sleep 0.3; echo "so: $TOKEN" >&2'
    env = {"TOKEN": "{{ secret('env:GAME_TOKEN') }}"}
    playbook = site.playbook(
        step("shows", shows, env=env, hosts="game-a1", changes=False),
        step("again", "echo {{ outputs.shows.stdout | first }}", hosts="game-a1", changes=False),
        step("fails", f"{shows}; exit 3", env=env, hosts="game-a1", changes=False),
    )
    with no_secret_leaks(site) as printed:
        failed = site.opsflow("apply", playbook, "--yes", "-v", "--debug", "--output", "jsonl", code=3)
        printed += [failed.out, failed.err]
        told = site.opsflow("apply", playbook, "--yes", "-v", code=3)
        printed += [told.out, told.err]
        printed.append(site.opsflow("show", "--output", "json").out)
        site.opsflow("runs")
    run = site.show()
    outputs = run.nodes["shows@game-a1"]["outputs"]
    assert hashlib.sha256(TOKEN.encode()).hexdigest() in outputs["stdout"], "the secret did not arrive"
    assert "it is ***" in outputs["stdout"]
    assert "so: ***" in run.nodes["fails@game-a1"]["error"]["stderr"]
    assert "it is ***" in json.dumps([event for event in failed.events if event["event"] == "node_output"])


def test_a_secret_in_a_command_is_an_error(site):
    playbook = site.playbook(step("shows", "echo {{ secret('env:GAME_TOKEN') }}", hosts="game-a1"))
    refused = site.opsflow("apply", playbook, "--yes", code=2)
    assert "test.toml:6:" in refused.err
    assert "a secret cannot be part of a text" in refused.err
    assert TOKEN not in refused.out + refused.err
