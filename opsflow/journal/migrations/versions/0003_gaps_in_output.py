"""How much of an attempt's output was left out before a row.

Frozen: later changes are later files.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply."""
    # On MySQL every statement commits by itself, and a process may have died right after this one.
    if all(column["name"] != "cut" for column in sa.inspect(op.get_bind()).get_columns("printed")):
        op.add_column("printed", sa.Column("cut", sa.BigInteger, nullable=False, server_default="0"))
