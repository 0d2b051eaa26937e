import textwrap
from datetime import UTC, datetime
from pathlib import Path

import pytest

from opsflow import playbook as playbooks
from opsflow.errors import InputError
from opsflow.inventory.static import StaticInventory
from opsflow.model import Connection, Host
from opsflow.plan import compile_plan
from opsflow.playbook import TemplateRenderer
from opsflow.plugins.registry import load_tasks

NOW = datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)


class Maker:
    """Compiles playbooks that are written as text for hosts that are written as keywords."""

    def __init__(self, directory):
        self.directory = directory
        self.tasks = load_tasks()

    def load(self, text, name="play.toml"):
        path = self.directory / name
        path.write_text(textwrap.dedent(text))
        return playbooks.load(path)

    def inventory(self, hosts, groups=None):
        found = [
            Host(
                name=name,
                connection=Connection(address=name),
                vars=variables,
                groups=tuple(sorted(g for g, members in (groups or {}).items() if name in members)),
            )
            for name, variables in hosts.items()
        ]
        return StaticInventory(path="inv", digest="d", hosts=found, groups=groups or (), directory=Path(self.directory))

    def compile(
        self,
        text,
        hosts=None,
        *,
        groups=None,
        inputs=None,
        extra=None,
        name="play.toml",
        now=NOW,
        tasks=None,
        earlier=None,
    ):
        playbook = self.load(text, name) if isinstance(text, str) else text
        inventory = None if hosts is None else self.inventory(hosts, groups)
        renderer = TemplateRenderer(
            directory=playbook.directory,
            hosts=lambda p: [h.name for h in inventory.select(p)] if inventory else [],
        )
        return compile_plan(
            playbook, inventory, tasks or self.tasks, renderer, inputs=inputs or {}, extra=extra or {}, now=now,
            earlier=earlier,
        )  # fmt: skip

    def problems(self, *args, **more):
        """What is said of a playbook that does not compile: (line, message, hint)."""
        with pytest.raises(InputError) as caught:
            self.compile(*args, **more)
        return [(p.position.line if p.position else None, p.message, p.hint) for p in caught.value.problems]


@pytest.fixture(scope="session")
def tasks():
    return load_tasks()


@pytest.fixture
def maker(tmp_path):
    return Maker(tmp_path)
