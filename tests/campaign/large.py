"""A whole maintenance of two hosts with a large database each, there and back: nothing lost, nothing held in memory.

Whole, 1 GiB: `make large`. Less of it: `make large ARGS="--mebibytes 64"`.
"""

import argparse
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "acceptance"))

from command_line import Project
from large_watch import Watch

from opsflow.testing.mariadb import PrivateMariaDB

HOSTS = ("db-1", "db-2")
SECRET = "Gr8-secret'of \"the game"
ROWS_PER_MIB = 890
PLAYBOOK = """
name = "large"

[defaults]
per = "host"
timeout = "1h"

[vars]
connection = { host = "127.0.0.1", port = PORT, user = "game", password = "{{ secret('env:GAME_PASSWORD') }}" }

[[step]]
id = "backup"
task = "backup_db"
hosts = "all"
with = { engine = "mysql", database = "{{ name }}", connection = "{{ connection }}", verify = "restore", fetch = "copies" }

[[step]]
id = "migrate"
task = "migrate_db"
hosts = "all"

[step.with]
engine = "mysql"
database = "{{ name }}"
connection = "{{ connection }}"
scripts = "migrations"
restore_from = "{{ outputs.backup.path }}"
allow_restore = true

[[step]]
id = "check"
task = "command"
hosts = "all"
with = { run = "[ ! -e broken ]", changes = false }
"""
SCHEMA = """
SET NAMES utf8mb4;
CREATE TABLE accounts (id INT PRIMARY KEY AUTO_INCREMENT, name VARCHAR(40) NOT NULL, mail VARCHAR(60), born DATE,
    UNIQUE (name)) ENGINE=InnoDB;
CREATE TABLE items (id INT PRIMARY KEY AUTO_INCREMENT, account INT NOT NULL, kind VARCHAR(20), state BLOB,
    weight DECIMAL(9, 3), double_weight DECIMAL(10, 3) AS (weight * 2) STORED,
    FOREIGN KEY (account) REFERENCES accounts (id)) ENGINE=InnoDB;
CREATE VIEW heavy AS SELECT account, SUM(weight) AS total FROM items GROUP BY account;
CREATE TRIGGER named BEFORE INSERT ON accounts FOR EACH ROW SET NEW.mail = COALESCE(NEW.mail, CONCAT(NEW.name, '@x'));
INSERT INTO accounts (name, born) SELECT CONCAT('pläyer ', seq), '1990-01-01' + INTERVAL seq % 9000 DAY FROM seq_1_to_1000;
"""
FILL = """
INSERT INTO items (account, kind, state, weight)
SELECT 1 + seq % 1000, ELT(1 + seq % 4, 'sword', 'shield', 'potion', '🗡'), RANDOM_BYTES(1000), seq / 7 FROM seq_1_to_{rows};
"""


@dataclass(frozen=True, kw_only=True)
class Told:
    """What came of it.

    Attributes:
        mebibytes: Of both databases.
        rows: Of all their tables.
        forward, back: Seconds of the maintenance that succeeded, and of that which was put back.
        equal: Whether the databases were what they had been, once they were put back.
        copied: Whether the copies that were fetched are the backups.
        peaks: MiB of memory by program.
        looks: A second, at all processes.
        revealed: Command lines that held the secret.
        found: Files that held the secret.
    """

    mebibytes: float
    rows: int
    forward: float
    back: float
    equal: bool
    copied: bool
    peaks: dict
    looks: float
    revealed: list
    found: list


def maintain(directory, mebibytes, *, first_address="127.0.149.1"):
    """Do it, and put it back."""
    with (
        PrivateMariaDB(directory) as server,
        Project(directory / "project", HOSTS, first_address=first_address) as site,
    ):
        _prepare(server, site, mebibytes)
        before = [_content(server, name) for name in _names()]
        secret = {"GAME_PASSWORD": SECRET}
        mark = str(directory).encode()
        with Watch(SECRET, (mark, *_PROGRAMS), b"mariadbd") as watch:
            for host in HOSTS:
                site.on(host, "broken").touch()
            back = _timed(
                lambda: site.opsflow("apply", "playbooks/test.toml", "--yes", code=3, env=secret, timeout=7200)
            )
            put_back = [_content(server, name) for name in _names()]
            for host in HOSTS:
                site.on(host, "broken").unlink()
            forward = _timed(lambda: site.opsflow("apply", "playbooks/test.toml", "--yes", env=secret, timeout=7200))
        outputs = [site.show().nodes[f"backup@{host}"]["outputs"] for host in HOSTS]
        return Told(
            mebibytes=sum(_size(server, name) for name in _names()),
            rows=sum(int(rows) for content in before for _, rows, _ in content["tables"]),
            forward=forward,
            back=back,
            equal=put_back == before,
            copied=all(Path(one["fetched"]).read_bytes() == Path(one["path"]).read_bytes() for one in outputs),
            peaks=watch.seen.peaks,
            looks=watch.seen.rate,
            revealed=sorted(watch.seen.revealed),
            found=[str(path) for path in _files(directory) if SECRET.encode() in path.read_bytes()],
        )


_PROGRAMS = (b"mariadb-dump", b"mysqldump", b"gzip\0", b"opsflow\0apply", b"--defaults-extra-file")


def _names():
    return [f"game_{host[-1]}" for host in HOSTS]


def _prepare(server, site, mebibytes):
    quoted = SECRET.replace("\\", "\\\\").replace("'", "''")
    server.execute(f"CREATE USER game@'%' IDENTIFIED BY '{quoted}'; GRANT ALL ON *.* TO game@'%'")
    for name in _names():
        server.create(name)
        server.execute(SCHEMA + FILL.format(rows=int(mebibytes / len(HOSTS) * ROWS_PER_MIB)), database=name)
    text = site.fleet.inventory()
    for host, name in zip(HOSTS, _names(), strict=True):
        text = text.replace(f'[hosts."{host}"]\n', f'[hosts."{host}"]\nvars = {{ name = "{name}" }}\n')
    site.write("inventories/fleet.toml", text)
    site.playbook(PLAYBOOK.replace("PORT", str(server.port)))
    site.write("migrations/0001_level.sql", "ALTER TABLE accounts ADD COLUMN level INT NOT NULL DEFAULT 1;\n")
    site.write("migrations/0002_gone.sql", "DELETE FROM items WHERE id % 3 = 0;\nDROP VIEW heavy;\n")


def _content(server, name):
    """All that is in a database, as sums of its tables and as text."""
    tables = server.execute("SHOW FULL TABLES WHERE Table_type = 'BASE TABLE'", database=name).split("\n")
    tables = [line.split("\t")[0] for line in tables if line and not line.startswith("opsflow_")]
    found = []
    for table in tables:
        rows = server.execute(f"SELECT COUNT(*) FROM `{table}`", database=name).strip()
        found.append((table, rows, server.execute(f"CHECKSUM TABLE `{table}`", database=name).split()[-1]))
    shape = "".join(server.execute(f"SHOW CREATE TABLE `{table}`", database=name) for table in tables)
    views = server.execute("SELECT COUNT(*), SUM(total) FROM heavy", database=name)
    return {
        "tables": found,
        "shape": shape,
        "views": views,
        "triggers": server.execute("SHOW TRIGGERS", database=name)[:60],
    }


def _size(server, name):
    bytes_of = "SELECT SUM(data_length + index_length) FROM information_schema.tables WHERE table_schema = '{}'"
    return int(server.execute(bytes_of.format(name))) / 1024 / 1024


def _files(directory):
    """What could hold the secret: all that opsflow and its hosts have written, the server's own files left out."""
    return [p for p in directory.rglob("*") if p.is_file() and "mariadb-" not in str(p) and p.stat().st_size < 2**26]


def _timed(work):
    began = time.monotonic()
    work()
    return time.monotonic() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mebibytes", type=int, default=1024, help="of both databases together (default: 1024)")
    asked = parser.parse_args()
    cache = Path(__file__).parents[2] / ".cache"
    cache.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="large-", dir=cache) as directory:
        told = maintain(Path(directory), asked.mebibytes)
    print(
        f"{told.mebibytes:,.0f} MiB in {told.rows:,} rows of two databases; there {told.forward:.0f} s, put back {told.back:.0f} s"
    )
    print(f"equal by content once put back: {told.equal}; fetched copies equal: {told.copied}")
    print(
        f"secret in command lines: {len(told.revealed)} ({told.looks:,.0f} looks a second), in files: {told.found or 0}"
    )
    for program, peak in sorted(told.peaks.items(), key=lambda one: -one[1]):
        print(f"  {peak:6.1f} MiB  {program}")
    return 0 if told.equal and told.copied and not told.revealed and not told.found else 1


if __name__ == "__main__":
    sys.exit(main())
