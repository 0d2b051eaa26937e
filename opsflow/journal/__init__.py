"""The journal: what was intended and what came of it, in SQLite, MySQL/MariaDB or PostgreSQL."""

from opsflow.journal.housekeeping import Housekeeping
from opsflow.journal.ids import new_run_id
from opsflow.journal.store import SqlJournal
from opsflow.journal.upgrade import upgraded

__all__ = ["Housekeeping", "SqlJournal", "new_run_id", "upgraded"]
