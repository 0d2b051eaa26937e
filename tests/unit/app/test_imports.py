"""What a command does not need is not imported for it."""

import subprocess
import sys

import pytest

from opsflow import app

HEAVY = ("sqlalchemy", "paramiko", "fabric", "opsflow.journal", "opsflow.engine", "opsflow.transport")


@pytest.mark.parametrize("name", app.__all__)
def test_every_use_case_is_where_it_is_said_to_be(name):
    assert getattr(app, name).__name__ == name


def test_there_is_nothing_else():
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = app.nothing


def test_to_check_files_needs_no_journal_no_engine_and_no_connection(tmp_path):
    (tmp_path / "play.toml").write_text(
        'name = "p"\n[[step]]\nid = "s"\nhosts = "one"\ntask = "command"\nwith = { run = "true" }\n'
    )
    (tmp_path / "prod.toml").write_text("[hosts.one]\n")
    look = f"import sys; print([m for m in {HEAVY} if m in sys.modules]); sys.exit(code)"
    program = f"from opsflow.cli.main import main; code = main(); {look}"
    done = subprocess.run(
        [sys.executable, "-c", program, "validate", "play.toml", "-i", "prod.toml"],
        check=False, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "[]"), done.stdout + done.stderr
