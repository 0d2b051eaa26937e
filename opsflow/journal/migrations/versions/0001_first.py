"""The first schema.

Frozen: later changes are later files. `if_not_exists`, for on MySQL every statement commits by itself, and a process
may have died in between.
"""

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import LONGBLOB, LONGTEXT

revision = "0001"
down_revision = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_BLOB = sa.LargeBinary().with_variant(LONGBLOB(), "mysql", "mariadb")
_JSON = sa.Text().with_variant(LONGTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    """Apply."""
    _run_tables()
    _node_tables()
    _output_tables()


def _table(name: str, *columns: Any) -> None:
    op.create_table(
        name,
        *columns,
        if_not_exists=True,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )


def _of_run(*, primary_key: bool = False) -> sa.Column[int]:
    return sa.Column(
        "run", _KEY, sa.ForeignKey("runs.key"), primary_key=primary_key, nullable=False, autoincrement=False
    )


def _run_tables() -> None:
    _table(
        "runs",
        sa.Column("key", _KEY, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(64), nullable=False, unique=True),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("playbook", sa.Text, nullable=False),
        sa.Column("inventory", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.Text, nullable=False),
        sa.Column("command", sa.String(255), nullable=False),
        sa.Column("operator", sa.String(255), nullable=False),
        sa.Column("started", sa.BigInteger, nullable=False),
        sa.Column("finished", sa.BigInteger),
        sa.Column("exit_code", sa.Integer),
        sa.Column("hosts", _BLOB, nullable=False),
    )
    _table(
        "owners",
        _of_run(primary_key=True),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("serial", sa.BigInteger, nullable=False),
        sa.Column("token", sa.String(64)),
        sa.Column("operator", sa.String(255), nullable=False),
        sa.Column("machine", sa.String(255), nullable=False),
        sa.Column("boot", sa.String(64), nullable=False),
        sa.Column("pid", sa.Integer, nullable=False),
        sa.Column("pid_started", sa.String(32), nullable=False),
        sa.Column("beat", sa.BigInteger, nullable=False),
    )
    _table(
        "leases",
        sa.Column("host", sa.String(255), primary_key=True),
        _of_run(),
    )
    _table(
        "plans",
        _of_run(primary_key=True),
        sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("data", _BLOB, nullable=False),
    )


def _node_tables() -> None:
    _table(
        "nodes",
        _of_run(primary_key=True),
        sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("step", sa.String(255), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("task", sa.String(255), nullable=False),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("outputs", _JSON),
        sa.Column("error", _JSON),
    )
    _table(
        "attempts",
        sa.Column("key", _KEY, primary_key=True, autoincrement=True),
        sa.Column("run", _KEY, nullable=False),
        sa.Column("node", sa.Integer, nullable=False),
        sa.Column("phase", sa.String(20), nullable=False),
        sa.Column("n", sa.Integer, nullable=False),
        sa.Column("undoes", sa.Integer),
        sa.Column("state", sa.String(20), nullable=False),
        sa.Column("started", sa.BigInteger, nullable=False),
        sa.Column("finished", sa.BigInteger),
        sa.Column("exit_status", sa.Integer),
        sa.Column("machine", sa.Text, nullable=False),
        sa.Column("params", _JSON, nullable=False),
        sa.Column("preview", _JSON, nullable=False),
        sa.Column("outputs", _JSON),
        sa.Column("error", _JSON),
        sa.UniqueConstraint("run", "node", "phase", "n", name="attempts_of_node"),
        sa.ForeignKeyConstraint(["run", "node"], ["nodes.run", "nodes.n"]),
    )


def _output_tables() -> None:
    _table(
        "printed",
        _of_run(primary_key=True),
        sa.Column("n", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("node", sa.Integer, nullable=False),
        sa.Column("phase", sa.String(20), nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("stream", sa.String(20), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("text", _BLOB, nullable=False),
        sa.UniqueConstraint("run", "node", "n", name="printed_by_node"),
    )
    _table(
        "rollbacks",
        sa.Column("key", _KEY, primary_key=True, autoincrement=True),
        _of_run(),
        sa.Column("id", sa.String(512), nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("nodes", _BLOB, nullable=False),
        sa.Column("started", sa.BigInteger, nullable=False),
        sa.Column("finished", sa.BigInteger),
        sa.Column("complete", sa.Boolean(create_constraint=False)),
        sa.UniqueConstraint("run", "id", name="rollbacks_of_run"),
    )
