"""What becomes of operations when the link goes, and how much of the link they use."""

import io
import threading
import time
from dataclasses import replace

import pytest

from opsflow.errors import Interrupted, Unreachable
from opsflow.model import Host
from opsflow.testing import SshdFleet
from opsflow.transport.ssh import CHANNELS, SshTransport


@pytest.fixture
def own(tmp_path, fleet):
    """A fleet of one host that a test may harm."""
    with SshdFleet(tmp_path / "own", ["own"]) as own:
        yield own


@pytest.fixture
def link(own):
    connection = replace(own.connection("own"), connect_timeout=2)
    transport = SshTransport(Host(name="own", connection=connection))
    yield transport
    transport.close()


def until(condition, seconds=5.0):
    ends = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends:
        time.sleep(0.01)
    return condition()


def in_thread(work):
    caught = []

    def guarded():
        try:
            work()
        except BaseException as error:
            caught.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    return thread, caught


def test_all_operations_share_one_connection(own, link):
    for n in range(5):
        link.run(f"echo {n}")
        link.put(io.BytesIO(b"x"), "file")
        link.get("file")
        link.identity()
    assert own.connections("own") == 1


def test_threads_that_begin_together_share_one_connection(own, link):
    threads = [in_thread(lambda: link.run("sleep 0.2"))[0] for _ in range(20)]
    for thread in threads:
        thread.join()
    assert own.connections("own") == 1


def test_every_operation_is_one_session(own, link):
    def sessions():
        return own.log("own").count("Starting session")

    link.run("true")
    for operation in (
        lambda: link.run("true", input=b"x", timeout=5, env={"A": "b"}, cwd="/"),
        lambda: link.put(io.BytesIO(b"x"), "file"),
        lambda: link.get("file"),
        link.identity,
    ):
        before = sessions()
        operation()
        assert sessions() == before + 1


def test_no_more_sessions_are_open_than_a_server_takes(own, link):
    running = []
    script = "echo $$ >>running; sleep 0.3; echo end"
    threads = [in_thread(lambda: running.append(link.run(script).stdout)) for _ in range(CHANNELS * 2)]
    assert until((own.home("own") / "running").exists)
    time.sleep(0.15)
    assert len((own.home("own") / "running").read_text().split()) <= CHANNELS
    for thread, caught in threads:
        thread.join()
        assert caught == []
    assert running == ["end\n"] * CHANNELS * 2


def test_a_server_that_takes_fewer_sessions_is_waited_for(tmp_path, fleet):
    with SshdFleet(tmp_path / "strict", ["strict"], sessions=1) as strict:
        transport = SshTransport(Host(name="strict", connection=strict.connection("strict")))
        threads = [in_thread(lambda: transport.run("sleep 0.2")) for _ in range(4)]
        for thread, caught in threads:
            thread.join()
            assert caught == []
        transport.close()


def test_a_server_that_takes_no_sessions_is_told(tmp_path, fleet):
    with SshdFleet(tmp_path / "closed", ["closed"], sessions=0) as closed:
        transport = SshTransport(Host(name="closed", connection=closed.connection("closed")))
        with pytest.raises(Unreachable, match="opens no session"):
            transport.run("true")
        transport.close()


def test_a_link_lost_in_the_middle_is_told_and_the_next_operation_connects_anew(own, link):
    thread, caught = in_thread(lambda: link.run("touch begun; sleep 30"))
    assert until((own.home("own") / "begun").exists)
    own.cut("own")
    thread.join(5)
    assert isinstance(caught[0], Interrupted)
    assert "own" in caught[0].reason
    assert link.run("echo again").stdout == "again\n"
    assert own.connections("own") == 2


def test_a_link_lost_between_operations_is_made_anew_unnoticed(own, link):
    link.run("true")
    own.cut("own")
    assert link.run("echo again").stdout == "again\n"
    link.close()
    assert link.run("echo closed and opened").ok
    assert own.connections("own") == 3


def test_a_link_that_fell_silent_between_operations_is_made_anew(own, link):
    link.run("true")
    own.freeze("own")
    assert link.run("echo again").stdout == "again\n"
    assert own.connections("own") == 2


def test_a_lost_link_does_not_end_the_command_before_its_timeout(own, link):
    thread, caught = in_thread(lambda: link.run("touch begun; sleep 0.5; touch ended", timeout=20))
    assert until((own.home("own") / "begun").exists)
    own.cut("own")
    thread.join(5)
    assert isinstance(caught[0], Interrupted)
    assert until((own.home("own") / "ended").exists)


def test_a_timeout_is_kept_after_the_link_is_lost(own, link):
    thread, _ = in_thread(lambda: link.run("touch begun; sleep 3; touch never", timeout=1))
    assert until((own.home("own") / "begun").exists)
    own.cut("own")
    thread.join(5)
    time.sleep(3)
    assert not (own.home("own") / "never").exists()


def test_a_host_that_is_gone_is_unreachable_until_it_is_back(own, link):
    link.run("true")
    own.kill("own", commands=True)
    with pytest.raises(Unreachable, match="connection refused"):
        link.run("true")
    own.restart("own")
    assert link.run("echo back").stdout == "back\n"


def test_a_link_lost_while_a_file_is_sent_leaves_the_old_one(own, link):
    class Cutting(io.BytesIO):
        passes = 0

        def seek(self, *args):
            self.passes += 1
            return super().seek(*args)

        def read(self, size=-1):
            if self.passes and self.tell() > 4_000_000:
                own.cut("own")
            return super().read(size)

    home = own.home("own")
    (home / "file").write_bytes(b"old")
    with pytest.raises(Interrupted):
        link.put(Cutting(b"x" * 20_000_000), "file")
    assert until(lambda: [path.name for path in home.iterdir()] == ["file"])
    assert (home / "file").read_bytes() == b"old"


def test_a_script_that_arrives_in_part_is_not_run(own, link):
    """The inner shell reads to the end of the line; without one there is no command."""
    process = link.start()
    process.write(b"\ntouch begun; echo ")
    process.close_input()
    assert until(lambda: process.status() is not None)
    assert process.status() != 0
    assert not (own.home("own") / "begun").exists()
    process.close()
