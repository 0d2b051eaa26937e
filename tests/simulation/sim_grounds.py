"""Where a run takes place: its plan, its hosts, the network and the database, as a seed has them."""

import random
from collections import Counter
from collections.abc import Callable
from typing import Any

from sim_audit import Audit
from sim_clocks import Clocks
from sim_database import Ledger
from sim_hosts import Host, Nature
from sim_links import Network
from sim_plans import RENDERER, Tasks, random_plan
from sim_timeline import Timeline
from sim_witness import Witness

from opsflow.engine.scopes import Scopes

RUN = "20260101T000000Z-simu"


class Ground:
    """All of it.

    Attributes:
        dice: Chance in all that no part of its own has dice for.
        parts: How many operations each node takes.
        in_place: Nodes of which nothing needs to be done.
        tally: What happened, and how often.
        story: Takes what happens, a line each; None: nobody listens.
    """

    def __init__(self, dice: random.Random, ledger: Ledger, story: Callable[[str], None] | None = None) -> None:
        self.dice, self.ledger, self.story = dice, ledger, story
        self.tally: Counter[str] = Counter()
        self.timeline = Timeline()
        self.clocks = Clocks(self.timeline)
        ledger.begin_anew(self.timeline, random.Random(dice.random()), self.tally)
        self.network = Network(self.timeline, random.Random(dice.random()), self.tally)
        self.parts: dict[str, int] = {}
        denied: set[str] = set()
        flawed: set[str] = set()
        self.tasks = Tasks(self.parts, denied, flawed)
        self.plan = random_plan(dice, self.tasks)
        self.scopes = Scopes(self.plan, RENDERER)
        self.parts.update({node.id: dice.choice([1, 1, 2, 3]) for node in self.plan.nodes})
        evil = dice.choice([0.0, 1.0, 1.0, 2.0])
        denied |= self._some(0.02 * evil)
        flawed |= self._some(0.02 * evil)
        self.in_place = self._some(0.08)
        self._settle(self._nature(evil))

    @property
    def controls(self) -> list[Any]:
        """The control processes that there are or were."""
        return list(self.timeline.lives.values())

    def tell(self, text: str) -> None:
        """Say what happens."""
        if self.story:
            self.story(f"{self.timeline.now:10.2f}  {text}")

    def _nature(self, evil: float) -> Nature:
        dice = self.dice
        nature = Nature(dice=random.Random(dice.random()), tally=self.tally, slow=dice.choice([0.0, 0.1, 0.3]))
        nature.talks = dice.choice([0.0, 0.5])
        nature.fails = {node: dice.choice([1, 1, 2]) for node in sorted(self._some(0.07 * evil))}
        if dice.random() < 0.25:
            nature.sticks = {node: dice.choice([1, 9]) for node in sorted(self._some(0.1))}
        return nature

    def _settle(self, nature: Nature) -> None:
        whole = not nature.sticks and all(step.task != "firm" for step in self.plan.playbook.steps)
        self.witness = Witness(self.plan, self.ledger.raw, self.tell, strict=whole, in_place=self.in_place)
        self.hosts = {name: Host(name, self.timeline, nature, self.witness.started) for name in self.plan.hosts}
        self.witness.hosts = self.hosts
        self.ledger.audit = Audit(self.witness, self.scopes, self.parts, self.in_place)
        for node in self.in_place:
            there = self.hosts[self.plan.by_id[node].host].there
            there.update({f"{node}/{n}": "before" for n in range(self.parts[node])})

    def _some(self, chance: float) -> set[str]:
        return {node.id for node in self.plan.nodes if self.dice.random() < chance}
