"""What had not reached the disk when power was lost: files that are empty, and the host is of use again all the same."""

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from runner_ground import gate

from opsflow.errors import Interrupted
from opsflow.transport import following
from opsflow.transport.following import call_of
from opsflow.transport.process import Capture


def fate(transport, op):
    """Why it is not known what became of an operation; "" if it is, or if it is waited for."""
    found = [""]

    def ask():
        try:
            transport.run("echo ran >>witness", op=op)
        except Interrupted as error:
            found.append(error.reason)

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(10)
    return found[-1]


@pytest.fixture
def transport(ground):
    transport = ground.transport()
    yield transport
    transport.close()


def test_records_whose_id_was_lost_get_another_and_what_was_begun_before_is_unknown(ground, transport):
    place = transport.claim(ground.run, 1)
    transport.close()
    (ground.base / "id").write_text("")
    later = ground.transport()
    ground.epoch = 2
    assert json.loads(later.claim(ground.run, 2))["base_id"] not in {"", json.loads(place)["base_id"]}
    with pytest.raises(Interrupted, match="no record"):
        later.run("echo ran >>witness", op=ground.operation("a", 1, place))
    assert later.run("echo new >>witness", op=ground.operation("b", 1)).ok
    assert ground.witness() == {"new": 1}
    later.close()


def test_an_epoch_that_was_lost_keeps_nobody_out(ground, transport):
    transport.claim(ground.run, 1)
    transport.close()
    (ground.base / ground.run / "epoch").write_text("")
    (ground.base / ground.run / "by").write_text("")
    later = ground.transport()
    ground.epoch = 2
    assert later.claim(ground.run, 2)
    assert later.run("echo ran >>witness", op=ground.operation("a", 1)).ok
    later.close()


def test_a_claim_that_was_lost_is_made_again(ground, transport):
    transport.claim(ground.run, 1)
    transport.close()
    for claim in ground.base.rglob("claim"):
        claim.write_text("")
    later = ground.transport()
    assert later.run("echo ran >>witness", op=ground.operation("a", 1)).ok
    later.close()


def test_a_process_of_now_is_not_taken_for_the_supervisor_of_an_earlier_boot(ground, transport):
    """The same id, and even the same time since the boot."""
    transport.claim(ground.run, 1)
    op = ground.operation("a", 1)
    started = Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19]
    gate(ground, op).write_text(f"r {os.getpid():<7}\n{op.digest} before {os.getpid()}:{started}\n\n")
    assert "was booted" in fate(transport, op)
    assert not ground.witness()


def test_a_process_with_a_supervisors_id_is_not_taken_for_it(ground, transport):
    """It began at another time."""
    transport.claim(ground.run, 1)
    op = ground.operation("a", 1)
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    gate(ground, op).write_text(f"r {os.getpid():<7}\n{op.digest} {boot} {os.getpid()}:1\n\n")
    assert "supervisor was killed" in fate(transport, op)
    assert not ground.witness()


def test_a_gate_whose_content_was_lost_with_an_earlier_boot_says_so(ground, transport, monkeypatch):
    monkeypatch.setattr(following, "EMPTY_GATE", 0.5)
    place = json.loads(transport.claim(ground.run, 1))
    op = ground.operation("a", 1, json.dumps(place | {"boot": "before"}))
    gate(ground, op).touch()
    assert "the machine was booted as the operation began" in fate(transport, op)


def test_a_gate_whose_content_was_lost_with_an_earlier_boot_is_not_waited_for(ground, transport, monkeypatch):
    monkeypatch.setattr(following, "EMPTY_GATE", 1000)
    place = json.loads(transport.claim(ground.run, 1))
    op = ground.operation("a", 1, json.dumps(place | {"boot": "before"}))
    gate(ground, op).touch()
    os.utime(gate(ground, op), (time.time() - 60,) * 2)
    (mark,) = ground.base.glob("boot.*")
    transport.close()
    mark.rename(mark.with_name("boot.before"))
    assert "the machine was booted" in fate(transport, op)
    assert [path.name for path in ground.base.glob("boot.*")] == [mark.name]
    transport.fence(op)
    assert not ground.witness()


def test_a_look_is_taken_again_on_a_machine_that_was_booted(ground, transport):
    """It changes nothing; nobody needs to know what became of it before."""
    transport.claim(ground.run, 1)
    call = call_of(None, "echo seen", Capture("stdout", 100), Capture("stderr", 100))
    call.place = replace(transport._target.place, boot="before")
    call.begun, call.sent = True, 1.0
    assert transport._target.call(call) == (0, "-")
    assert call.out.text == "seen\n"


def test_a_gate_whose_content_was_lost_is_unknown_and_shuts(ground, transport):
    place = transport.claim(ground.run, 1)
    op = ground.operation("a", 1)
    transport.run("echo ran >>witness", op=op)
    transport.close()
    gate(ground, op).write_text("")
    later = ground.transport()
    ground.epoch = 2
    with pytest.raises(Interrupted):
        later.run("echo ran >>witness", op=ground.operation("a", 1, place))
    assert ground.witness() == {"ran": 1}
    later.close()
