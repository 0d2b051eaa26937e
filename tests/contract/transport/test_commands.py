"""Commands in real shells."""

import hashlib
import threading
import time
from pathlib import Path

import pytest

from opsflow.errors import Interrupted
from opsflow.testing.processes import processes
from opsflow.transport.process import Capture, communicate

MIB = 1024 * 1024


def are_gone(pids):
    """Whether processes that were sent SIGKILL are dead; on a busy machine that takes a moment."""
    ends = time.monotonic() + 2
    while set(pids) & set(processes()) and time.monotonic() < ends:
        time.sleep(0.01)
    return not set(pids) & set(processes())


def test_commands_start_in_the_login_directory(shell):
    assert shell.transport.run('pwd; echo "$HOME"').stdout == f"{shell.home}\n{shell.home}\n"


@pytest.mark.parametrize(
    "text",
    [
        "plain",
        "two\nlines\n\nand an empty one",
        r"back\slash \n \\ \0101 \x41 \c end",
        "quotes ' \" ` and $HOME $(id) ${x} !history *",
        "%s %b %d",
        "umlaut ä, kanji 漢字, emoji 😀",
        "".join(chr(n) for n in range(1, 0x180)),
        "trailing newlines\n\n\n",
        "x" * 200_000,
    ],
    ids=["plain", "lines", "backslashes", "quotes", "percents", "unicode", "controls", "trailing", "200kB"],
)
def test_a_command_arrives_as_it_was_written(shell, text):
    quoted = "'" + text.replace("'", "'\\''") + "'"
    assert shell.transport.run(f"printf %s {quoted}").stdout == text


def test_a_command_may_have_many_lines_and_a_here_document(shell):
    assert shell.transport.run("for i in 1 2\ndo\n  cat <<E\nline $i\nE\ndone\n").stdout == "line 1\nline 2\n"


def test_environment_and_directory_are_given(shell):
    value = "it's\n a \\ $value"
    result = shell.transport.run('printf "%s|" "$A" "$B"; pwd', env={"A": value, "B": ""}, cwd="/")
    assert result.stdout == f"{value}||/\n"


def test_a_relative_directory_begins_in_the_login_directory(shell):
    (shell.home / "-sub dir").mkdir(exist_ok=True)
    assert shell.transport.run("pwd", cwd="-sub dir").stdout == f"{shell.home}/-sub dir\n"


def test_nothing_is_run_if_the_directory_is_missing(shell):
    result = shell.transport.run("echo one; echo two", cwd="no-such-directory")
    assert result.exit_status != 0
    assert result.stdout == ""
    assert "no-such-directory" in result.stderr


@pytest.mark.parametrize("name", ["", "A B", "1A", "A;id", "Ä"])
def test_a_variable_name_that_the_shell_would_not_take_is_refused(shell, name):
    with pytest.raises(ValueError, match="environment variable"):
        shell.transport.run("true", env={name: "x"})


def test_a_nul_in_the_environment_is_refused(shell):
    with pytest.raises(ValueError, match="NUL"):
        shell.transport.run("true", env={"A": "x\0y"})


def test_nothing_of_a_command_is_visible_in_the_process_list(shell):
    look = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' ' '"
    seen = shell.transport.run(
        f": tango-command; {look}; cat >/dev/null",
        env={"A": "tango-environment"},
        input=b"tango-input",
        timeout=30,
    ).stdout
    assert "tango" not in seen
    assert "_opsflow" in seen  # the fixed shell itself is
    shown = shell.transport.run(f"sh -c ': tango-shown; {look.replace(chr(39), chr(34))}'").stdout
    assert "tango-shown" in shown  # this way of looking does find what is there


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_exit_statuses_are_told(shell, status):
    assert shell.transport.run(f"exit {status}").exit_status == status


@pytest.mark.parametrize(("signal", "number"), [("TERM", 15), ("KILL", 9), ("INT", 2), ("USR1", 10)])
def test_a_signal_is_told_as_128_and_its_number(shell, signal, number):
    result = shell.transport.run(f"kill -s {signal} $$; sleep 10", timeout=20)
    assert (result.exit_status, result.stderr, result.timed_out) == (128 + number, "", False)


def test_signals_are_not_ignored_in_commands(shell):
    ignored = shell.transport.run("grep SigIgn /proc/self/status", timeout=20).stdout.split()[1]
    assert int(ignored, 16) & 0x4007 == 0  # HUP, INT, QUIT, TERM


def test_without_input_there_is_an_end_of_it(shell):
    assert shell.transport.run("cat; echo done", timeout=20).stdout == "done\n"


def test_large_input_and_large_output_at_once(shell):
    content = bytes(range(256)) * (20 * MIB // 256)
    got = hashlib.sha256()
    result = shell.transport.run("tee copy | sha256sum >&2; cat copy | base64 -w 0; rm copy", input=content)
    assert result.stderr.split()[0] == hashlib.sha256(content).hexdigest()
    assert result.truncated

    result = shell.transport.run("cat", input=b"y" * 20 * MIB, sink=lambda _, text: got.update(text.encode()))
    assert got.hexdigest() == hashlib.sha256(b"y" * 20 * MIB).hexdigest()
    assert len(result.stdout) == MIB


def test_input_that_nobody_reads_is_no_hindrance(shell):
    began = time.monotonic()
    assert shell.transport.run("exit 4", input=b"x" * 20 * MIB).exit_status == 4
    assert time.monotonic() - began < 5


def test_output_is_kept_up_to_a_limit_and_passed_on_whole(shell):
    lengths = {"stdout": 0, "stderr": 0}

    def sink(stream, text):
        lengths[stream] += len(text)

    result = shell.transport.run("head -c 3000000 /dev/zero | tr '\\0' x; echo err >&2", sink=sink)
    assert result.stdout == "x" * MIB
    assert result.stderr == "err\n"
    assert result.truncated
    assert lengths == {"stdout": 3_000_000, "stderr": 4}


def test_output_arrives_while_the_command_runs(shell):
    heard = []
    began = time.monotonic()
    shell.transport.run("echo first; sleep 1; echo second", sink=lambda _, t: heard.append((time.monotonic(), t)))
    assert [text for _, text in heard] == ["first\n", "second\n"]
    assert heard[0][0] - began < 0.8


def test_a_character_in_two_pieces_is_one_and_a_broken_one_is_replaced(shell):
    heard = []
    script = "printf '\\303'; sleep 0.2; printf '\\244|\\377|'"
    result = shell.transport.run(script, sink=lambda _, text: heard.append(text))
    assert result.stdout == "ä|\N{REPLACEMENT CHARACTER}|"
    assert "".join(heard) == result.stdout


def test_a_character_that_the_limit_cuts_is_left_out():
    capture = Capture("stdout", 3)
    capture.feed("aää".encode())
    assert capture.text == "aä"
    assert capture.truncated


def test_a_background_process_that_keeps_the_output_open_does_not_block(shell):
    began = time.monotonic()
    result = shell.transport.run("sleep 20 & echo started $!")
    assert time.monotonic() - began < 3
    said, pid = result.stdout.split()
    assert said == "started"
    assert int(pid) in processes()  # and it was not killed
    shell.transport.run(f"kill {pid}")


def test_a_timeout_ends_the_whole_process_group(shell):
    began = time.monotonic()
    result = shell.transport.run(
        "echo $$ >pids; sh -c 'sleep 300 & echo $! >>pids; wait' & echo $! >>pids; echo said; sleep 300; echo never",
        timeout=1,
    )
    assert 1 <= time.monotonic() - began < 5
    assert (result.exit_status, result.timed_out, result.stdout) == (124, True, "said\n")
    pids = [int(line) for line in (shell.home / "pids").read_text().split()]
    assert len(pids) == 3
    assert are_gone(pids)


def test_a_timeout_ends_those_who_ignore_sigterm_too(shell):
    result = shell.transport.run(
        "trap '' TERM; echo $$ >pids; sleep 300 & echo $! >>pids; sleep 300; sleep 300", timeout=1
    )
    assert result.timed_out
    assert are_gone([int(line) for line in (shell.home / "pids").read_text().split()])


def test_a_command_may_clean_up_when_its_time_is_over(shell):
    result = shell.transport.run("trap 'echo cleaned; exit 9' TERM; sleep 300 & wait", timeout=1)
    assert (result.exit_status, result.timed_out, result.stdout) == (124, True, "cleaned\n")


def test_a_command_that_ends_in_time_leaves_no_watchdog(shell):
    assert shell.transport.run("exit 124", timeout=86399).timed_out is False
    ends = time.monotonic() + 5
    while b"sleep\x0086399\x00" in _command_lines() and time.monotonic() < ends:
        time.sleep(0.01)
    assert b"sleep\x0086399\x00" not in _command_lines()


def test_a_command_that_kills_its_whole_group_is_of_unknown_fate(shell):
    if getattr(shell.transport, "recorded", False):  # its supervisor is not of its group
        assert shell.transport.run("kill -s KILL 0; sleep 5").exit_status == 128 + 9
        return
    with pytest.raises(Interrupted):
        shell.transport.run("kill -s KILL 0; sleep 5")
    assert shell.transport.run("echo alive").stdout == "alive\n"


def test_a_host_that_says_nothing_is_not_waited_for_without_end():
    class Silent:
        def write(self, data):
            return len(data)

        def read(self, stream):
            return None

        def wait(self, seconds):
            time.sleep(seconds)

        def status(self):
            return None

        def close_input(self):
            pass

    with pytest.raises(Interrupted, match="no word"):
        communicate(Silent(), iter(()), {"stdout": Capture("stdout", 1)}, limit=0.05)


def test_many_commands_at_once(shell):
    results = {}

    def work(n):
        results[n] = shell.transport.run(f"cat; sleep 0.05; echo {n}", input=b"in ").stdout

    threads = [threading.Thread(target=work, args=(n,)) for n in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: f"in {n}\n" for n in range(24)}


def _command_lines():
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes())
        except OSError:
            continue
    return found
