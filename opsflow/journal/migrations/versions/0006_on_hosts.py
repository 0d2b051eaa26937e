"""On which host an attempt was done, if not on the one of its node (`on`).

Frozen: later changes are later files.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply."""
    # On MySQL every statement commits by itself, and a process may have died right after this one.
    if all(column["name"] != "on_host" for column in sa.inspect(op.get_bind()).get_columns("attempts")):
        op.add_column("attempts", sa.Column("on_host", sa.String(255), nullable=False, server_default=""))
