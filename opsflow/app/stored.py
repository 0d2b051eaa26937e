"""The plans that the journal has of a run."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from opsflow.app.origins import at_home
from opsflow.app.settings import Settings
from opsflow.journal import SqlJournal
from opsflow.plan import Plan, moved


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPlan:
    """The plan that a run follows, and the way to those that it followed before.

    Attributes:
        journal: Where they are.
        run_id: Of the run.
        plan: The newest, its paths where its project is now.
        number: Of it; they count from 0.
    """

    journal: SqlJournal
    run_id: str
    plan: Plan
    number: int

    @classmethod
    def of(cls, run_id: str, journal: SqlJournal) -> Self:
        """The newest plan of a run."""
        number = len(journal.later_plans(run_id))
        return cls(journal=journal, run_id=run_id, plan=Plan.from_json(journal.plan(run_id, number)), number=number)

    def at_home(self, settings: Settings) -> tuple[Self, Settings]:
        """The plan where its project is now, and the settings of that, in whatever directory the command was typed."""
        plan, there = at_home(self.plan, settings)
        return replace(self, plan=plan), there

    def at(self, number: int) -> Plan:
        """The plan of a number, its paths where its project is now."""
        plan = Plan.from_json(self.journal.plan(self.run_id, number))
        here, there = plan.playbook.directory, self.plan.playbook.directory
        return plan if here == there or Path(here).is_dir() else moved(plan, there)
