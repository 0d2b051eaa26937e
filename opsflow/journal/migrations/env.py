"""Alembic's entry: runs the migrations on the connection that `opsflow.journal.upgrade` hands over."""

from alembic import context

from opsflow.journal.tables import VERSION_TABLE, metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    version_table=VERSION_TABLE,
    # The caller's transaction is the one: a commit in between would let another process in.
    transactional_ddl=False,
)
context.run_migrations()
