import textwrap
from pathlib import Path
from types import SimpleNamespace

import pytest

from opsflow.plugins.registry import load_tasks


@pytest.fixture
def plugin_dir(tmp_path):
    directory = tmp_path / "plugins"
    directory.mkdir()
    return directory


@pytest.fixture
def load(plugin_dir):
    """Write files (`name="source"`) into a plugin directory and load it."""

    def load(**files):
        for name, source in files.items():
            (plugin_dir / f"{name}.py").write_text(textwrap.dedent(source))
        return load_tasks(directories=[plugin_dir], entry_points=False, project=plugin_dir.parent)

    return load


@pytest.fixture
def ctx(tmp_path):
    return SimpleNamespace(project=Path(tmp_path), log=print)
