"""All hosts of a run."""

import shutil
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from opsflow.errors import InputError
from opsflow.model import Connection, Host
from opsflow.transport.become import Passwords
from opsflow.transport.dial import Link
from opsflow.transport.fake import FakeTransport
from opsflow.transport.local import LocalTransport
from opsflow.transport.pool import HostTransports


def test_a_host_has_one_transport_of_its_kind(fleet):
    pool = HostTransports(
        {
            "one": Host(name="one", connection=fleet.connection("one")),
            "fake": Host(name="fake", connection=Connection(transport="fake")),
        }
    )
    assert pool.to("one") is pool.to("one")
    assert pool.to("one").run("pwd").stdout == f"{fleet.home('one')}\n"
    assert isinstance(pool.to("fake"), FakeTransport)
    assert pool.to("fake").run("anything").ok
    pool.close()


def test_the_control_machine_is_always_there():
    pool = HostTransports({})
    assert isinstance(pool.to("localhost"), LocalTransport)


def test_what_does_not_exist_is_refused():
    pool = HostTransports({"odd": Host(name="odd", connection=Connection(transport="pigeon"))})
    with pytest.raises(InputError, match="no host 'nobody'"):
        pool.to("nobody")
    with pytest.raises(InputError, match="no transport 'pigeon'"):
        pool.to("odd")


def test_closing_closes_the_connections_and_using_the_pool_again_makes_new_ones(fleet):
    pool = HostTransports({"two": Host(name="two", connection=fleet.connection("two"))})
    before = fleet.connections("two")
    pool.to("two").run("true")
    pool.close()
    pool.close()
    pool.to("two").run("true")
    pool.close()
    assert fleet.connections("two") == before + 2


def test_only_so_many_connections_are_made_at_once(fleet, monkeypatch):
    lock, now, most = threading.Lock(), [0], [0]
    opened = Link.open

    def slow(link, **options):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        time.sleep(0.05)
        try:
            opened(link, **options)
        finally:
            with lock:
                now[0] -= 1

    monkeypatch.setattr(Link, "open", slow)
    hosts = {f"h{n}": Host(name=f"h{n}", connection=fleet.connection("one")) for n in range(6)}
    pool = HostTransports(hosts, connecting=2)
    with ThreadPoolExecutor(6) as threads:
        assert all(threads.map(lambda name: pool.to(name).run("true").ok, hosts))
    assert most[0] == 2
    pool.close()


def test_a_locked_key_is_unlocked_by_the_secret_that_the_inventory_names(fleet, tmp_path):
    connection = fleet.connection("two")
    key = tmp_path / "key"
    shutil.copy(connection.key_file, key)
    subprocess.run(["ssh-keygen", "-q", "-p", "-P", "", "-N", "a phrase", "-f", key], check=True, capture_output=True)
    locked = replace(connection, key_file=str(key), key_passphrase="env:KEY")
    secrets = {"env:KEY": "a phrase"}
    pool = HostTransports({"two": Host(name="two", connection=locked)}, passwords=Passwords(secrets.__getitem__))
    assert pool.to("two").run("true").ok
    pool.close()
