import http.server
import json
import threading
import time
from pathlib import Path

import pytest
from pydantic import ValidationError

from opsflow import TaskFailed
from opsflow.model import Action
from opsflow_tasks import _notifying, notify


@pytest.fixture
def mailbox():
    """A web server that keeps what is posted to it: (path, headers, JSON). `/no` is refused."""
    got = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            got.append((self.path, dict(self.headers), json.loads(body)))
            self.send_response(500 if self.path == "/no" else 204)
            self.end_headers()

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        got_at = f"127.0.0.1:{server.server_address[1]}"
        yield got_at, got
        server.shutdown()


def test_a_webhook_gets_the_message_and_whose_it_is(drive, mailbox):
    at, got = mailbox
    task = drive(notify, message="game is up\nagain", title="2.0", level="success", webhook=f"http://{at}/hook")
    preview = task.plan()
    assert (preview.action, preview.summary, preview.reversible) == (Action.CHANGE, "tell: 2.0", True)
    assert got == []
    assert task.execute(preview) == {"sent": ["webhook"], "failed": {}}
    [(path, _, content)] = got
    assert path == "/hook"
    assert content == {
        "title": "2.0", "message": "game is up\nagain", "level": "success",
        "run": "20260101T000000Z-test", "step": "step", "host": "localhost",
    }  # fmt: skip
    task.revert(preview)
    assert len(got) == 1


def test_what_apprise_knows_is_told_by_apprise(drive, mailbox):
    at, got = mailbox
    task = drive(notify, message="game is up", to=[f"json://{at}/a", f"json://{at}/no"], webhook=f"http://{at}/b")
    outputs = task.apply()
    assert outputs["sent"] == ["JSON (1)", "webhook"]
    assert "500" in outputs["failed"]["JSON (2)"]
    assert [path for path, _, _ in got if path != "/no"] == ["/a", "/b"]
    assert got[0][2]["message"] == "game is up"
    assert task.logged == [f"not told: JSON (2): {outputs['failed']['JSON (2)']}"]


def test_a_command_gets_the_message_as_its_input(drive, home):
    task = drive(notify, message="it's up; $HOME", command="cat >mail")
    assert task.apply() == {"sent": ["command"], "failed": {}}
    assert (home / "mail").read_text() == "it's up; $HOME\n"


def test_nobody_s_silence_fails_the_step_unless_it_is_required(drive, mailbox):
    at, _ = mailbox
    given = {"message": "x", "webhook": f"http://{at}/no", "command": "exit 3"}
    outputs = drive(notify, **given).apply()
    assert outputs["sent"] == []
    assert outputs["failed"]["webhook"] == "it answers 500 Internal Server Error"
    assert "3" in outputs["failed"]["command"]
    with pytest.raises(TaskFailed, match="not everybody was told: webhook: it answers 500"):
        drive(notify, **given, required=True).apply()


def test_a_server_that_is_away_is_told_as_such(drive):
    outputs = drive(notify, message="x", webhook="http://127.0.0.1:1/").apply()
    assert "refused" in outputs["failed"]["webhook"]


def test_a_rollback_may_say_something_too(drive, mailbox):
    at, got = mailbox
    task = drive(notify, message="up", reverted="down again", webhook=f"http://{at}/")
    preview = task.plan()
    task.execute(preview)
    task.revert(preview)
    assert [content["message"] for _, _, content in got] == ["up", "down again"]


def test_a_message_whose_fate_is_unknown_is_one_operation(drive, mailbox):
    at, got = mailbox
    task = drive(notify, message="up", webhook=f"http://{at}/")
    for interrupted in task.interruptions(1):
        interrupted(task.plan())
    assert len(got) == 1  # lost before it was sent, and after


def test_secrets_are_in_no_command_line(drive, mailbox):
    at, got = mailbox
    task = drive(
        notify, message="x", command="tr '\\0' ' ' </proc/$PPID/cmdline >seen; cat >/dev/null",
        webhook={"$secret": "env:HOOK"}, headers={"Authorization": {"$secret": "env:TOKEN"}},
    )  # fmt: skip
    task.secrets.update({"env:HOOK": f"http://{at}/n0b0dys-t0ken-path", "env:TOKEN": "Bearer n0b0dys-t0ken"})
    seen, over = set(), threading.Event()

    def watch():
        while not over.is_set():
            for each in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    seen.add(each.read_bytes())
                except OSError:
                    continue
            time.sleep(0.001)

    watching = threading.Thread(target=watch)
    watching.start()
    task.apply()
    over.set()
    watching.join()
    assert got[0][1]["Authorization"] == "Bearer n0b0dys-t0ken"
    assert any(b"_notifying" in words for words in seen)
    assert not any(b"n0b0dys-t0ken" in words for words in seen)


def test_addresses_that_nobody_understands_fail_before_anything_is_sent_and_are_not_repeated(drive):
    preview = drive(notify, message="x", to=["json://127.0.0.1/", "nonsense-s3cr3t"], webhook="ftp://x/").plan()
    assert preview.action is Action.FAIL
    assert preview.why == "`webhook` is no http:// or https:// URL; URL 2 of `to` is none that apprise understands"


def test_without_apprise_it_says_what_to_install(monkeypatch):
    monkeypatch.setattr(_notifying, "find_spec", lambda name: None)
    assert _notifying._problems({"to": ["json://x"], "webhook": None}) == [
        "`to` needs the library apprise: pip install 'opsflow[notify]'"
    ]


def test_a_host_that_is_not_the_control_machine_is_refused(drive, monkeypatch):
    monkeypatch.setattr(notify, "_PROGRAM", "/no/such/python -m opsflow_tasks._notifying")
    preview = drive(notify, message="x", webhook="http://127.0.0.1/").plan()
    assert preview.why.startswith("it is sent from the control machine: leave out `hosts` (")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"message": "x"}, "nobody is told"),
        ({"message": "x", "command": "true", "headers": {"a": "b"}}, "need `webhook`"),
        ({"message": "", "command": "true"}, "message"),
        ({"message": "x", "command": "true", "level": "loud"}, "level"),
    ],
)
def test_what_makes_no_sense_is_refused(params, message):
    with pytest.raises(ValidationError, match=message):
        notify.params().model_validate(params)


def test_every_parameter_is_described():
    assert all(field.get("description") for field in notify.params().model_json_schema()["properties"].values())
