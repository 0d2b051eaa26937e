"""What start_server shows of a log: the lines since the start, none lost and none twice, whatever became of the file."""

import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

import opsflow_tasks
from opsflow import TaskFailed
from opsflow_tasks import start_server

LOG = Path(opsflow_tasks.__file__).with_name("target") / "log.sh"
BUSYBOX = 'for t in dd ls tail cat od; do eval "$t() { busybox $t \\"\\$@\\"; }"; done'


@pytest.fixture(params=["dash", "bash", "busybox"])
def since(request, tmp_path):
    """`since(commands)`: what is shown of the log `$o_log` after commands that follow the mark."""
    if not shutil.which(request.param):
        reason = f"{request.param} is not installed"
        pytest.skip(reason)

    def run(commands, before="before 1\nbefore 2\n"):
        log = tmp_path / "a log"
        if before is not None:
            log.write_text(before)
        shell = ["busybox", "sh"] if request.param == "busybox" else [request.param]
        setup = BUSYBOX if request.param == "busybox" else ""
        script = f"o_log={shlex.quote(str(log))}\nl=$o_log\n{LOG.read_text()}\n{setup}\nmark_log\n{commands}\nlog_since\nexit 0\n"
        done = subprocess.run(shell, input=script, capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout

    return run


ADD = 'echo 1 >>"$l"; echo 2 >>"$l"'
MORE = 'echo 3 >>"$l"'


@pytest.mark.parametrize(
    ("commands", "shown"),
    [
        pytest.param("", "", id="nothing was written"),
        pytest.param(ADD, "1\n2\n", id="it grew"),
        pytest.param(f'{ADD}; mv "$l" "$l.1"; {MORE}', "1\n2\n3\n", id="rotated by rename"),
        pytest.param(f'{ADD}; mv "$l" "$l.1"; gzip -f "$l.1"; {MORE}', "1\n2\n3\n", id="rotated and packed"),
        pytest.param(f'{ADD}; rm "$l"; {MORE}', "1\n2\n3\n", id="removed and made again"),
        pytest.param(f'{ADD}; mv "$l" "$l.1"', "1\n2\n", id="rotated and not made again"),
        pytest.param(f'mv "$l" "$l.1"; {ADD}; mv "$l" "$l.2"; {MORE}', "3\n", id="rotated twice: the end at least"),
        pytest.param(f'cp "$l" "$l.1"; : >"$l"; {ADD}', "1\n2\n", id="copied and truncated"),
        pytest.param(f': >"$l"; {ADD}; seq 1000 >>"$l"', "1\n2\n" + "".join(f"{n}\n" for n in range(1, 1001)),
                     id="truncated, and longer than before by now"),
        pytest.param('printf "no newline" >>"$l"', "no newline", id="an unfinished line"),
    ],
)  # fmt: skip
def test_what_was_written_since_the_mark(since, commands, shown):
    assert since(commands) == shown


@pytest.mark.parametrize("before", [None, ""])
def test_a_log_that_appears_later_is_shown_from_its_beginning(since, before):
    assert since(ADD, before=before) == "1\n2\n"
    assert since("", before=before) in {"", "1\n2\n"}  # the file of the line before


def test_no_more_is_looked_through_than_is_needed(since):
    shown = since('seq 100000 >>"$l"')
    assert len(shown) == 64 * 1024
    assert shown.endswith("\n99999\n100000\n")


def test_a_failed_start_shows_the_lines_of_this_start_only(drive, home):
    (home / "log").write_text("a fault of last year\n")
    task = drive(
        start_server, service="x", pidfile="pid", log="log", stay_up="100ms", command="sh -c 'echo cannot; exit 7'"
    )
    with pytest.raises(TaskFailed, match="status 7") as failure:
        task.apply()
    assert "cannot" in failure.value.hint
    assert "last year" not in failure.value.hint


def test_a_failed_start_shows_whole_lines_also_if_it_was_asked_how_it_is(drive, home):
    task = drive(
        start_server,
        service="x",
        pidfile="pid",
        log="log",
        http="http://127.0.0.1:9/",
        timeout="500ms",
        command="sh -c 'echo cannot reach the login database; exec sleep 60'",
    )
    preview = task.plan()
    with pytest.raises(TaskFailed, match="does not answer") as failure:
        task.execute(preview)
    assert "cannot reach the login database" in failure.value.hint
    task.revert(preview)


def test_a_failed_start_that_rotates_its_log_shows_both_parts(drive, home):
    (home / "log").write_text("a fault of last year\n")
    program = "sh -c 'echo cannot; mv log log.1; echo at all >log; exit 7'"
    task = drive(start_server, service="x", pidfile="pid", log="log", stay_up="100ms", command=program)
    with pytest.raises(TaskFailed) as failure:
        task.apply()
    assert failure.value.hint.split() == ["the", "log", "ends", "with:", "cannot", "at", "all"]
