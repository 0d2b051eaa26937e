from pathlib import Path

import pytest

from opsflow.errors import InputError
from opsflow.playbook import load


@pytest.fixture
def write(tmp_path):
    """Write a playbook of a project; its path."""

    def write(text: str, name: str = "p.toml") -> Path:
        path = tmp_path / "playbooks" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


@pytest.fixture
def load_text(write):
    """Load a playbook from its text."""
    return lambda text: load(write(text))


@pytest.fixture
def problems_of(load_text):
    """What is wrong with a playbook."""

    def problems_of(text: str):
        with pytest.raises(InputError) as caught:
            load_text(text)
        return caught.value.problems

    return problems_of
