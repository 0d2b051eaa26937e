"""What holds for every command, and who says so."""

from pathlib import Path

import pytest

from opsflow import app
from opsflow.errors import InputError


@pytest.fixture
def write(tmp_path):
    def write(text):
        (tmp_path / "opsflow.toml").write_text(text)
        return tmp_path

    return write


def test_without_a_file(tmp_path):
    found = app.settings(tmp_path)
    assert found == app.Settings(project=tmp_path, journal=f"sqlite:///{tmp_path}/.opsflow/journal.db")
    assert (found.forks, found.executor, found.inventory, found.plugins) == (20, "threads", "", ())


def test_the_file_says(write):
    project = write('inventory = "prod"\nforks = 7\nexecutor = "serial"\njournal = "mysql://u@h/db"\n')
    found = app.settings(project)
    assert (found.inventory, found.forks, found.executor, found.journal) == ("prod", 7, "serial", "mysql://u@h/db")


def test_arguments_win(write):
    project = write('forks = 7\nexecutor = "serial"\njournal = "mysql://u@h/db"\n')
    found = app.settings(project, forks=3, executor="threads", journal="mariadb://x@y/z")
    assert (found.forks, found.executor, found.journal) == (3, "threads", "mariadb://x@y/z")


def test_the_project_is_the_nearest_directory_with_the_file(write):
    project = write("")
    below = project / "a" / "b"
    below.mkdir(parents=True)
    assert app.settings(below).project == project
    (below / "opsflow.toml").touch()
    assert app.settings(below).project == below


def test_a_relative_project_becomes_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert app.settings(Path()).project == tmp_path


def test_a_relative_journal_begins_where_it_is_written(write, monkeypatch):
    project = write('journal = "sqlite:///own/j.db"\n')
    below = project / "below"
    below.mkdir()
    assert app.settings(below).journal == f"sqlite:///{project}/own/j.db"
    assert app.settings(below, journal="sqlite:///mine.db").journal == f"sqlite:///{below}/mine.db"
    assert app.settings(below, journal="sqlite:////abs/mine.db").journal == "sqlite:////abs/mine.db"


def test_plugins_of_the_project_of_the_file_and_of_the_command(write, tmp_path):
    project = write('plugins = ["more"]\n')
    (project / "plugins").mkdir()
    (project / "more").mkdir()
    found = app.settings(project, plugins=[Path("/given")])
    assert found.plugins == (project / "plugins", project / "more", Path("/given"))


def test_a_plugin_directory_that_is_named_and_not_there_is_no_silent_skip(write):
    found = app.settings(write('plugins = ["mroe"]\n'))
    with pytest.raises(InputError, match="mroe"):
        app.tasks(found)


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('jornal = "x"\n', 1, "journal"),
        ("\nforks = 0\n", 2, "forks"),
        ('executor = "processes"\n', 1, "executor"),
        ('[ssh]\nusr = "x"\n', 2, "did you mean `user`?"),
        ('[ssh]\nkeepalive = "soon"\n', 2, "is not a duration"),
        ('[ssh]\nbecome_password = "hunter2"\n', 2, "must be a reference to a secret"),
        ("forks = \n", 1, ""),
    ],
)
def test_what_is_wrong_is_told_where_it_stands(write, text, line, said):
    with pytest.raises(InputError) as caught:
        app.settings(write(text))
    [problem] = caught.value.problems
    assert problem.position.line == line
    assert problem.position.file.endswith("opsflow.toml")
    assert said in str(problem)
