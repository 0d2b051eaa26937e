"""What `retry.vary` gave an attempt.

Frozen: later changes are later files.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.mysql import LONGTEXT

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply."""
    # On MySQL every statement commits by itself, and a process may have died right after this one.
    if all(column["name"] != "turn" for column in sa.inspect(op.get_bind()).get_columns("attempts")):
        op.add_column("attempts", sa.Column("turn", sa.Text().with_variant(LONGTEXT(), "mysql", "mariadb")))
