"""The journal: what was intended and what came of it, in SQLite, MySQL/MariaDB or PostgreSQL."""

from opsflow.journal.ids import new_run_id
from opsflow.journal.store import SqlJournal

__all__ = ["SqlJournal", "new_run_id"]
