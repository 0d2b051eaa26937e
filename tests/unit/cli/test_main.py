import subprocess
import sys

import pytest

import opsflow as package

COMMANDS = [
    "validate",
    "plan",
    "graph",
    "apply",
    "resume",
    "rollback",
    "cancel",
    "mark",
    "runs",
    "show",
    "journal upgrade",
    "journal export",
    "journal prune",
    "unlock",
    "task list",
    "task doc",
    "inventory list",
    "schema",
]


def test_help_names_every_command(opsflow):
    ended = opsflow("--help")
    assert ended.code == 0
    for command in COMMANDS:
        assert f"\n  {command.split()[0]} " in ended.out
    for group in ([], ["journal"], ["task"], ["inventory"]):
        assert "..." not in opsflow(*group, "--help").out.partition("Commands:")[2]  # no first line is cut


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_its_options(opsflow, command):
    ended = opsflow(*command.split(), "--help")
    assert ended.code == 0
    for option in ("--journal", "--plugins", "--output", "--verbose", "--no-color", "--debug"):
        assert option in ended.out


def test_version(opsflow):
    assert opsflow("--version").out == f"opsflow {package.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["aply"],
        ["apply"],
        ["apply", "x.toml", "--tags", "a"],
        ["apply", "x.toml", "--executor", "celery"],
        ["apply", "x.toml", "--forks", "0"],
        ["runs", "--output", "xml"],
    ],
)
def test_a_wrong_command_line_has_exit_code_2_and_says_why(opsflow, arguments):
    ended = opsflow(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert "error" in ended.err.lower()


def test_help_imports_nothing_heavy():
    heavy = "{'pydantic', 'sqlalchemy', 'paramiko', 'networkx', 'jinja2', 'fabric', 'alembic'}"
    code = (
        f"import sys; sys.argv = ['opsflow', '--help']; from opsflow.cli.main import main; main();"
        f"sys.exit(str({heavy} & set(sys.modules)) if {heavy} & set(sys.modules) else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_reader_that_leaves_is_no_error(project):
    command = f"{sys.executable} -c 'import sys; from opsflow.cli.main import main; sys.exit(main())' task list"
    done = subprocess.run(
        ["bash", "-c", f"{command} | true; echo ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


LIMITED = """
import resource, sys
from opsflow.cli.main import main
hard = min(resource.getrlimit(resource.RLIMIT_NOFILE)[1], 4096)
resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard))
sys.argv = ["opsflow", "--version"]
main()
print(resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard))
"""


def test_as_many_files_may_be_open_as_the_machine_allows():
    told = subprocess.run([sys.executable, "-c", LIMITED], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "True"
