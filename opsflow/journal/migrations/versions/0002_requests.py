"""What operators ask of a run that another process drives.

Frozen: later changes are later files.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import LONGTEXT

revision = "0002"
down_revision = "0001"

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_JSON = sa.Text().with_variant(LONGTEXT(), "mysql", "mariadb")


def upgrade() -> None:
    """Apply."""
    # The index with the table in one statement: on MySQL each commits by itself, and a process may die in between.
    op.create_table(
        "requests",
        sa.Column("key", _KEY, primary_key=True, autoincrement=True),
        sa.Column("run", _KEY, sa.ForeignKey("runs.key"), nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("what", sa.String(20), nullable=False),
        sa.Column("operator", sa.String(255), nullable=False),
        sa.Column("at", sa.BigInteger, nullable=False),
        sa.Column("applied", sa.BigInteger),
        sa.Column("data", _JSON, nullable=False),
        sa.Column("answer", _JSON),
        sa.UniqueConstraint("run", "key", name="requests_of_run"),
        if_not_exists=True,
        mysql_engine="InnoDB",
        mysql_charset="utf8mb4",
        mysql_collate="utf8mb4_bin",
    )
