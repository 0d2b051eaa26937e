import sys
from pathlib import Path

import pytest

from opsflow.errors import InputError
from opsflow.inventory import load

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def load_text(tmp_path):
    """Load an inventory from its text; the project is `tmp_path`."""

    def load_text(text: str):
        (tmp_path / "inventories").mkdir(exist_ok=True)
        (tmp_path / "inventories" / "i.toml").write_text(text, encoding="utf-8")
        return load("i", project=tmp_path)

    return load_text


@pytest.fixture
def problems_of(load_text):
    """What is wrong with an inventory."""

    def problems_of(text: str):
        with pytest.raises(InputError) as caught:
            load_text(text)
        return caught.value.problems

    return problems_of
