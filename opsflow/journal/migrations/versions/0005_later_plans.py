"""Plans that took the place of a run's first one, and which of them an attempt follows.

Frozen: later changes are later files.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import LONGBLOB

revision = "0005"
down_revision = "0004"

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "later_plans",
        sa.Column("run", _KEY, sa.ForeignKey("runs.key"), primary_key=True, nullable=False, autoincrement=False),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("part", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("operator", sa.String(255), nullable=False),
        sa.Column("data", sa.LargeBinary().with_variant(LONGBLOB(), "mysql", "mariadb"), nullable=False),
        if_not_exists=True,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
    # On MySQL every statement commits by itself, and a process may have died right after this one.
    if all(column["name"] != "plan" for column in sa.inspect(op.get_bind()).get_columns("attempts")):
        op.add_column("attempts", sa.Column("plan", sa.Integer, nullable=False, server_default="0"))
