"""Login shells that talk, read, are others, or refuse: nothing is taken for a command or an answer that is none."""

import io
import shutil
import subprocess

import pytest
from hard_ground import HardGround, need

from opsflow.errors import Unreachable
from opsflow.testing.accounts import Accounts
from opsflow.transport import channel

ENDED = "starts no commands: its login shell ended before one began"
TALKS = """
i=0
while [ $i -lt 1000 ]; do
    echo aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
    echo bbbbbbbbbbbb >&2
    i=$((i+1))
done
printf '\\nabcdefabcdefabcdefabcdef H x y z 0 4 /tmp\\nabcdefabcdefabcdefabcdef E r1.1 0 - 0 0 .\\nno newline'
"""
STRICT = """
set -o noclobber -o nounset -o allexport
shopt -s expand_aliases
alias rm='rm -i' mv='mv -i' cat='cat -n' printf='echo'
PROMPT_COMMAND='echo prompt' PS1='> ' CDPATH=/usr TZ=x LC_ALL=tr_TR.UTF-8 POSIXLY_CORRECT=1 ENV=$HOME/noise BASH_ENV=$HOME/noise
trap '' HUP INT PIPE CHLD
umask 000
"""
FUNCTIONS = """
for name in command echo kill printf read sh true; do
    eval "$name() { builtin echo not this one; }; export -f $name"
done
"""


@pytest.fixture(scope="module")
def accounts():
    need("tcsh", "fish", "busybox", "dash", "bash", root=True)
    with Accounts() as accounts:
        yield accounts


@pytest.fixture
def login(accounts):
    """Makes a host to which an account with this login shell and this file in its home logs in."""
    made = []

    def make(program, name="", text="", sh="dash"):
        account = accounts.make(shell=program)
        path = account.home / (name or ".nothing")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        (account.home / "noise").write_text("echo noise; exit 9\n")
        subprocess.run(["chown", "-R", account.name, str(account.home)], check=True)
        ground = HardGround(accounts.directory / f"fleet-{account.name}", sh, user=account.name, login=True)
        ground.account = account.home
        made.append(ground)
        ground.start()
        return ground

    yield make
    for ground in made:
        ground.close()


def works(ground):
    """Commands, input, files and answers are what they would be anywhere."""
    result = ground.run("echo out; echo err >&2; exit 3")
    assert (result.exit_status, result.stdout, result.stderr) == (3, "out\n", "err\n")
    assert ground.run("cat", ground.op("b"), input=b"x" * 20_000).stdout == "x" * 20_000
    ground.transport.put(io.BytesIO(b"y" * 20_000), "put", op=ground.op("c"))
    early = ground.again()  # without a claim: a shell of its own for each
    result = early.run("cat; echo err >&2; exit 3", input=b"touch in\n")
    assert (result.exit_status, result.stdout, result.stderr) == (3, "touch in\n", "err\n")
    assert early.get("put") == b"y" * 20_000
    assert not (ground.account / "in").exists()


def refuses(ground, words):
    """Certainly nothing is started, on no way, and nothing of the input is taken for commands."""
    first = ground.transport
    with pytest.raises(Unreachable, match=words) as failed:
        ground.run("touch ran", input=b"touch in\n")
    assert "nothing was started" in failed.value.hint
    with pytest.raises(Unreachable, match="starts no commands"):
        first.run("touch ran", input=b"touch in\ntouch in\n" * 10_000)
    with pytest.raises(Unreachable, match="starts no commands"):
        first.put(io.BytesIO(b"touch in\n" * 10_000), "put")
    with pytest.raises(Unreachable, match="starts no commands"):
        first.get("/etc/passwd")
    assert not {"ran", "in", "put"} & {path.name for path in ground.account.iterdir()}


@pytest.mark.parametrize("text", [TALKS, STRICT, "exec 3>&1 4>&1 5>&2 9>&1\n"])
def test_what_a_start_up_file_of_bash_says_or_sets_does_no_harm(login, text):
    works(login("/bin/bash", ".bashrc", text))


def test_signals_that_a_login_shell_ignores_end_a_command_all_the_same(login):
    ground = login("/bin/bash", ".bashrc", "trap '' HUP INT PIPE CHLD\n")
    assert ground.run("sleep 30; true", timeout=1).timed_out


def test_functions_that_a_login_shell_exports_are_not_called(login):
    """Where `sh` is bash, they would take the place of builtins."""
    works(login("/bin/bash", ".bashrc", FUNCTIONS, sh="bash"))


@pytest.mark.parametrize(
    ("program", "name", "text"),
    [
        ("/usr/bin/tcsh", ".cshrc", "echo hello\nset noclobber\nalias sh false\n"),
        ("/usr/bin/fish", ".config/fish/config.fish", "echo hello\n"),
        ("/bin/dash", "", ""),
    ],
)
def test_another_login_shell_will_do(login, program, name, text):
    works(login(program, name, text))


@pytest.mark.parametrize(
    ("program", "name", "text"),
    [
        ("/bin/bash", ".bashrc", "read x\n"),
        ("/usr/bin/tcsh", ".cshrc", "set x = $<\n"),
        ("/usr/bin/fish", ".config/fish/config.fish", "read x\n"),
    ],
)
def test_a_start_up_file_that_reads_starts_nothing_in_part(login, program, name, text):
    refuses(login(program, name, text), "something else read its input")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("exec /bin/sh\n", ENDED),
        ("exec tcsh\n", ENDED),
        ("exit\n", ENDED),
        ("ulimit -f 0\n", "starts no commands|cannot take operations"),
        ("export PATH=\n", "starts no commands: .*sh: No such file or directory"),
    ],
)
def test_a_login_shell_that_becomes_another_or_ends_takes_nothing_for_commands(login, text, words):
    ground = login("/bin/bash", ".bashrc", text)
    if "ulimit" in text:
        with pytest.raises(Unreachable, match=words):
            ground.run("touch ran")
        assert not (ground.account / "ran").exists()
    else:
        refuses(ground, words)


@pytest.mark.parametrize("text", ["cat >/dev/null\n", "exec fish\n"])
def test_a_start_up_file_that_waits_for_the_end_of_the_input_is_given_up(login, text, monkeypatch):
    monkeypatch.setattr(channel, "_GREETING", 1.0)
    refuses(login("/bin/bash", ".bashrc", text), "starts no commands: no answer within 1 s")


def test_an_account_that_may_not_log_in_is_told_in_the_words_of_its_shell(login):
    refuses(login(shutil.which("nologin", path="/usr/sbin:/sbin")), "not available")


def test_a_home_that_is_not_there_is_named_and_not_made(login):
    ground = login("/bin/bash")
    shutil.rmtree(ground.account)
    with pytest.raises(Unreachable, match=rf"there is no home directory {ground.account}"):
        ground.run("true")
    assert not ground.account.exists()
