"""The seven ways in which a first prototype of the runner was wrong. Each was made to fail by running it."""

import io
import json
import os
import shutil
import signal
import time
from contextlib import suppress

import pytest
from runner_ground import Ground, gate, in_thread, parts, until

from opsflow.errors import Diverged, HostsHeld, Interrupted, Unreachable
from opsflow.model import Operation
from opsflow.transport import following
from opsflow.transport.channel import Lost


@pytest.fixture
def transport(ground):
    transport = ground.transport()
    yield transport
    transport.close()


def test_1_a_payload_never_sees_a_part_of_its_input(ground, transport):
    """Input that is cut on its way: the operation is certainly not started, and starts when the whole is there."""

    class Cut(io.BytesIO):
        def read(self, size=-1):
            if self.tell() > 500_000:
                raise OSError("cut")
            return super().read(size)

    content = b"x" * 900_000
    op = ground.operation("a", 1)
    with pytest.raises(OSError, match="cut"):
        transport.run("cat >got", input=Cut(content), op=op)
    assert not gate(ground, op).exists()
    assert transport.run("cat >got; wc -c <got", input=content, op=op).stdout.strip() == "900000"
    assert (ground.home / "got").read_bytes() == content


def test_1_a_message_that_is_cut_starts_nothing(ground, transport):
    transport.claim(ground.run, 1)
    whole = "".join(
        line + "\n"
        for line in following.Call(
            id="ocut.1", digest="d", text="touch begun\n: more", out=None, err=None, body=b"in"
        ).message(1)
    ).encode()
    for at in range(1, len(whole)):
        made = ground.transport()
        made.claim(ground.run, 1)
        channel = made._target._channels[0]
        channel._put(whole[:at])
        made.close()
        if at % 20 == 0:
            time.sleep(0.05)
            assert not (ground.home / "begun").exists(), whole[:at]
    time.sleep(0.3)
    assert not (ground.home / "begun").exists()
    transport._target._channels[0]._put(whole)
    until((ground.home / "begun").exists)


def test_2_no_record_is_no_proof_where_the_records_are_others(ground, transport):
    """The base directory was removed: what may have run is not run again."""
    place = transport.claim(ground.run, 1)
    op = ground.operation("a", 1, place)
    assert transport.run("echo ran >>witness", op=op).ok
    transport.close()
    until(lambda: not ground.processes())  # they tidy up there
    shutil.rmtree(ground.base)
    later = ground.transport()
    ground.epoch = 2
    with pytest.raises(Interrupted, match="no record"):
        later.run("echo ran >>witness", op=ground.operation("a", 1, place))
    assert ground.witness() == {"ran": 1}
    later.close()


@pytest.mark.parametrize("changed", ["boot", "base_id", "machine", "uid"])
def test_2_never_started_counts_only_at_the_place_of_the_intent(ground, transport, changed):
    place = json.loads(transport.claim(ground.run, 1))
    op = ground.operation("a", 1, json.dumps(place | {changed: "another"}))
    with pytest.raises(Interrupted, match="no record"):
        transport.run("echo ran >>witness", op=op)
    assert not ground.witness()
    assert transport.run("echo ran >>witness", op=ground.operation("a", 1, json.dumps(place))).ok


def test_3_an_earlier_owner_starts_nothing_any_more(ground, transport):
    """It may go on with its second operation: the target refuses it, on its old connection and on a new one."""
    assert transport.run("echo first >>witness", op=ground.operation("a", 1)).ok
    later = ground.transport()
    later.claim(ground.run, 2)
    with pytest.raises(Interrupted, match="another session has taken over"):
        transport.run("echo second >>witness", op=ground.operation("a", 2))
    transport.close()
    with pytest.raises(Interrupted, match="a later session has taken over"):
        transport.run("echo second >>witness", op=ground.operation("a", 2))
    assert ground.witness() == {"first": 1}
    later.close()


def test_3_another_run_is_refused_with_the_holders_name_while_one_is_at_work(ground):
    holder, other = Claiming(ground), Claiming(ground)
    holder.claim("run-1", 1)
    with pytest.raises(HostsHeld, match="run-1") as held:
        other.claim("run-2", 1)
    assert "@" in next(iter(held.value.holders.values()))
    thread, _ = in_thread(lambda: holder.run("touch begun; sleep 1", op=ground.operation("a", 1)))
    until((ground.home / "begun").exists)
    holder.close()
    thread.join()
    with pytest.raises(HostsHeld):  # nobody is connected, but its operation still runs
        other.claim("run-2", 1)
    until(lambda: gate(ground, ground.operation("a", 1)).read_text().startswith("e "))
    assert other.claim("run-2", 1)
    other.close()


def test_3_another_run_is_refused_while_a_command_runs_whose_supervisors_are_gone(ground):
    """Among others that have ended."""
    holder, other = Claiming(ground), Claiming(ground)
    for number in range(1, 4):
        holder.run("true", op=ground.operation("a", number))
    until(lambda: parts(ground))
    supervisors = parts(ground)
    thread, _ = in_thread(lambda: holder.run("echo $$ >begun; exec sleep 60", op=ground.operation("b", 1)))
    until(lambda: (ground.home / "begun").exists() and (ground.home / "begun").read_text())
    for pid in supervisors:
        with suppress(ProcessLookupError):  # some end with others
            os.kill(pid, signal.SIGKILL)
    holder.close()
    thread.join(20)
    with pytest.raises(HostsHeld):
        other.claim("run-2", 1)
    os.kill(int((ground.home / "begun").read_text()), signal.SIGKILL)
    until(lambda: not ground.processes())
    assert other.claim("run-2", 1)
    other.close()


def test_3_a_run_that_is_over_starts_nothing_any_more(ground, transport):
    assert transport.run("echo first >>witness", op=ground.operation("a", 1)).ok
    transport.release()
    transport.close()
    with pytest.raises(Interrupted):
        transport.run("echo first >>witness", op=ground.operation("a", 1))
    assert ground.witness() == {"first": 1}
    assert transport.run("echo back >>witness", op=Operation(
        run=ground.run, epoch=2, attempt="b", number=1, digest="-")).ok  # fmt: skip


def test_4_what_was_read_is_stored_before_the_gate(ground, transport):
    op = Operation(run=ground.run, epoch=1, attempt="a", number=1, digest="d", reads='[["probe","a \\\\ \\" b"]]')
    transport.run("true", op=op)
    assert [(r.digest, r.reads) for r in transport.record(op)] == [("d", op.reads)]
    big = Operation(run=ground.run, epoch=1, attempt="a", number=2, digest="e", reads="x" * 70_000)
    transport.run("true", op=big)
    assert transport.record(op)[1].reads == big.reads


@pytest.mark.parametrize("size", [100, 300_000])
def test_5_a_file_is_put_once(ground, transport, size):
    op = ground.operation("a", 1)
    place = transport.claim(ground.run, 1)
    first = transport.put(io.BytesIO(b"a" * size), "conf", op=op)
    (ground.home / "conf").write_bytes(b"edited since")
    again = ground.operation("a", 1, place)
    assert transport.put(io.BytesIO(b"a" * size), "conf", op=again) == first
    assert (ground.home / "conf").read_bytes() == b"edited since"
    assert [p.name for p in ground.home.iterdir() if p.name.startswith(".opsflow-")] == []


def test_6_operations_at_once_do_not_garble_each_other(ground, transport):
    """Only one process writes to the connection."""
    found = {}

    def work(n):
        text = f"{n} " * 20_000
        found[n] = transport.run(
            f"i=0; while [ $i -lt 40 ]; do printf '%1000s' '{n} ' | tr ' ' x; i=$((i+1)); done; printf '{n}' >&2",
            op=ground.operation(f"a{n}", 1),
        )
        return text

    threads = [in_thread(lambda n=n: work(n))[0] for n in range(12)]
    for thread in threads:
        thread.join(60)
    for n in range(12):
        wanted = f"{n} ".rjust(1000).replace(" ", "x") * 40
        assert (found[n].stdout, found[n].stderr) == (wanted, str(n))


def test_7_a_recorded_result_is_never_a_timeout_however_late_it_is_read(ground, transport):
    place = transport.claim(ground.run, 1)
    thread, _ = in_thread(
        lambda: transport.run("touch begun; sleep 0.5; exit 3", timeout=1, op=ground.operation("a", 1))
    )
    until((ground.home / "begun").exists)
    transport.close()
    thread.join()
    time.sleep(2.5)
    ground.epoch = 2
    late = ground.transport()
    result = late.run("touch begun; sleep 0.5; exit 3", timeout=1, op=ground.operation("a", 1, place))
    assert (result.exit_status, result.timed_out) == (3, False)
    late.close()


def test_7_a_timeout_holds_when_nobody_is_connected(ground, transport):
    place = transport.claim(ground.run, 1)
    thread, _ = in_thread(lambda: transport.run("touch begun; sleep 30", timeout=1, op=ground.operation("a", 1)))
    until((ground.home / "begun").exists)
    transport.close()
    thread.join()
    until(lambda: gate(ground, ground.operation("a", 1)).read_text().startswith("e "))
    until(lambda: not ground.processes())
    ground.epoch = 2
    late = ground.transport()
    assert late.run("touch begun; sleep 30", timeout=1, op=ground.operation("a", 1, place)).timed_out
    late.close()


def test_something_else_at_the_same_place_is_refused(ground, transport):
    transport.run("echo one >>witness", op=ground.operation("a", 1))
    with pytest.raises(Diverged):
        transport.run("echo two >>witness", op=Operation(
            run=ground.run, epoch=1, attempt="a", number=1, digest="another"))  # fmt: skip
    assert ground.witness() == {"one": 1}


def test_a_supervisor_that_was_killed_leaves_its_operation_unknown(ground, transport):
    thread, caught = in_thread(
        lambda: transport.run("echo ran >>witness; touch begun; sleep 20", op=ground.operation("a", 1))
    )
    until((ground.home / "begun").exists)
    owner = int(gate(ground, ground.operation("a", 1)).read_text().splitlines()[1].split()[2].split(":")[0])
    os.kill(owner, signal.SIGKILL)
    thread.join(30)
    assert isinstance(caught[0], Interrupted)
    assert "supervisor was killed" in caught[0].reason


def test_a_reused_process_id_is_not_taken_for_the_supervisor(ground, transport):
    """Mutation: the start time."""
    transport.claim(ground.run, 1)
    op = ground.operation("a", 1)
    boot = transport._target.place.boot
    gate(ground, op).write_text(f"r {os.getpid():<7}\n{op.digest} {boot} {os.getpid()}:1\n\n")
    with pytest.raises(Interrupted, match="supervisor was killed"):
        transport.run("echo ran >>witness", op=op)


def test_an_operation_of_an_earlier_boot_is_unknown_and_one_that_ended_is_known(ground, transport):
    """Mutation: the boot id."""
    transport.claim(ground.run, 1)
    op = ground.operation("a", 1)
    gate(ground, op).write_text(f"r {os.getpid():<7}\n{op.digest} before {os.getpid()}:1\n\n")
    with pytest.raises(Interrupted, match="was booted"):
        transport.run("echo ran >>witness", op=op)
    op = ground.operation("b", 1)
    gate(ground, op).write_text(f"e {3:<7}\n{op.digest} before {os.getpid()}:1\n\n")
    result = transport.run("echo ran >>witness", op=op)
    assert (result.exit_status, result.truncated) == (3, True)
    assert not ground.witness()


@pytest.mark.parametrize("part", [0, 1, 2, 3])
def test_a_gate_that_nobody_signed_starts_nothing_and_is_unknown(ground, transport, part, monkeypatch):
    """The window between making a gate and having written into it, which some shells do in parts."""
    monkeypatch.setattr(following, "EMPTY_GATE", 0.5)
    transport.claim(ground.run, 1)
    text = ["", f"{'-':<9}\n", f"{'-':<9}\na-1", f"{'-':<9}\na-1 {os.getpid()}"][part]
    gate(ground, ground.operation("a", 1)).write_text(text)
    with pytest.raises(Interrupted, match="as the operation began"):
        transport.run("echo ran >>witness", op=ground.operation("a", 1))
    assert not ground.witness()


def test_what_was_read_before_an_operation_is_on_record_whole_or_not_at_all(ground, transport):
    """Its writer may die in the middle of it."""
    transport.claim(ground.run, 1)
    first, second = ground.operation("a", 1), ground.operation("a", 2)
    gate(ground, first).write_text(f"{'-':<9}\na-1 boot 1:1\n[1]\n")
    gate(ground, second).write_text(f"{'-':<9}\na-2 boot 1:1\n[2")
    assert [(one.digest, one.reads) for one in transport.record(first)] == [("a-1", "[1]"), ("-", "")]


class Claiming:
    """A transport to a host that is not shared."""

    def __init__(self, ground):
        self._transport = ground.transport()
        self._transport.shared = False

    def __getattr__(self, name):
        return getattr(self._transport, name)


def test_messages_are_never_read_as_commands(ground, transport):
    """The shell that read the script from the connection reads nothing more from it, whoever of the others dies."""
    transport.claim(ground.run, 1)
    until(lambda: len(parts(ground)) == 6)
    channel = transport._target._channels[0]
    for pid in parts(ground):
        with suppress(ProcessLookupError):  # it may follow another
            os.kill(pid, signal.SIGKILL)
    with suppress(Lost):
        for _ in range(50):
            channel.send("T x; touch begun", "S 1 x.1 d 0 - .")
            time.sleep(0.01)
    assert not (ground.home / "begun").exists()


def test_ksh93_is_refused_before_anything_is_claimed(tmp_path):
    """It says of a command that signal 9 ended that its status is 265."""
    if not shutil.which("ksh93"):
        pytest.skip("ksh93 is not installed")
    ground = Ground(tmp_path / "target", "dash")
    (ground.bin / "sh").write_text('#!/bin/sh\nexec ksh93 "$@"\n')
    with pytest.raises(Unreachable, match=r"its sh is ksh93.*another shell is needed"):
        ground.transport().claim(ground.run, 1)
    assert not ground.base.exists()
