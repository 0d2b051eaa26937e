"""Hosts behind other hosts: every hop is reached with its own settings, checked, and let go of."""

import shutil
import threading
import time

import pytest
from ssh_ground import User, addresses, block, left_since, taken

from opsflow.errors import HostKeyRejected, Unreachable
from opsflow.model import Operation
from opsflow.testing import SshdFleet

HOPS = ["first", "second", "third"]


@pytest.fixture(scope="module")
def chain(tmp_path_factory, fleet):
    with SshdFleet(
        tmp_path_factory.mktemp("chain"),
        [*HOPS, "target"],
        first_address="127.0.144.1",
        options=["LogLevel DEBUG1"],
    ) as chain:
        yield chain


@pytest.fixture
def user(tmp_path, monkeypatch, chain):
    user = User(tmp_path / "home", monkeypatch)
    user.knows(chain)
    yield user
    user.close()


def named(chain, name):
    address, port = addresses(chain, name)
    return f"{chain.user}@{address}:{port}"


def through(chain, *hops, **more):
    """How the inventory has it: the target behind hops."""
    address, port = addresses(chain, "target")
    return {
        "address": address,
        "port": port,
        "user": chain.user,
        "key_file": str(chain.client_key),
        "jump": tuple(named(chain, hop) for hop in hops),
        **more,
    }


def logins(chain):
    return {name: chain.connections(name) for name in chain.names}


def leads_to(chain, hop):
    """The host to which a hop was asked to connect last."""
    asked = [line for line in chain.log(hop).splitlines() if "server_request_direct_tcpip" in line][-1]
    return next(name for name in chain.names if "target {} port {},".format(*addresses(chain, name)) in f"{asked},")


def after(chain, before):
    """Through which hosts it went since."""
    return {name for name, count in logins(chain).items() if count > before[name]}


@pytest.mark.parametrize("hops", [HOPS[:1], HOPS[:2], HOPS], ids=len)
def test_hops_of_the_inventory_are_passed_in_their_order(chain, user, hops):
    before = logins(chain)
    assert user.to(**through(chain, *hops)).run("pwd").stdout == f"{chain.home('target')}\n"
    assert after(chain, before) == {*hops, "target"}
    assert [leads_to(chain, hop) for hop in hops] == [*hops[1:], "target"]


def test_a_proxyjump_of_ssh_config_is_passed_in_its_order(chain, user):
    user.config(
        block("first", chain, "first")
        + block("second", chain, "second")
        + block("target", chain, "target", "ProxyJump first,second")
        + f"Host *\n    IdentityFile {chain.client_key}\n"
    )
    before = logins(chain)
    assert user.to("target").run("pwd").stdout == f"{chain.home('target')}\n"
    assert after(chain, before) == {"first", "second", "target"}
    assert [leads_to(chain, hop) for hop in ("first", "second")] == ["second", "target"]


def test_every_hop_has_a_user_a_port_a_key_and_a_way_of_its_own(chain, user, tmp_path):
    own = user.key("own")
    options = [f"AuthorizedKeysFile {own}.pub"]
    with SshdFleet(tmp_path / "other", ["other"], first_address="127.0.144.9", options=options) as other:
        user.knows(chain, other)
        user.config(
            block("target", chain, "target", "ProxyJump third", f"IdentityFile {chain.client_key}")
            + block("third", chain, "third", "ProxyJump other", f"IdentityFile {chain.client_key}")
            + block("other", other, "other", "ProxyJump first", f"IdentityFile {own}")
            + block("first", chain, "first", f"IdentityFile {chain.client_key}")
        )
        before = logins(chain)
        assert user.to("target").run("pwd").stdout == f"{chain.home('target')}\n"
        assert after(chain, before) == {"target", "third", "first"}
        assert other.connections("other") == 1
        user.close()


def test_the_first_hop_of_the_inventory_may_have_a_way_of_its_own(chain, user):
    user.config(
        block("second", chain, "second", "ProxyJump first", f"IdentityFile {chain.client_key}")
        + block("first", chain, "first", f"IdentityFile {chain.client_key}")
    )
    before = logins(chain)
    assert user.to(**through(chain, jump=("second",))).run("true").ok
    assert after(chain, before) == {"first", "second", "target"}


def test_a_jump_host_for_all_hosts_is_reached_without_itself(chain, user):
    user.config(
        block("first", chain, "first")
        + block("target", chain, "target")
        + f"Host *\n    ProxyJump first\n    IdentityFile {chain.client_key}\n"
    )
    before = logins(chain)
    assert user.to("target").run("true").ok
    assert user.to("first").run("true").ok
    assert after(chain, before) == {"first", "target"}


def test_the_inventory_may_say_that_there_is_nothing_to_pass_through(chain, user):
    user.config(block("target", chain, "target", "ProxyJump first", f"IdentityFile {chain.client_key}"))
    before = logins(chain)
    assert user.to("target", jump=("none",)).run("true").ok
    assert after(chain, before) == {"target"}


def test_hops_in_a_circle_are_told(chain, user):
    user.config(
        block("a", chain, "first", "ProxyJump b")
        + block("b", chain, "second", "ProxyJump c")
        + block("c", chain, "third", "ProxyJump a")
    )
    with pytest.raises(Unreachable, match="leads in a circle"):
        user.to("a").run("true")


@pytest.mark.parametrize("stranger", [*HOPS, "target"])
def test_the_key_of_every_hop_is_checked(chain, user, stranger):
    address, port = addresses(chain, stranger)
    known = chain.known_hosts.read_text().splitlines(keepends=True)
    (user.ssh / "known_hosts").write_text("".join(line for line in known if f"[{address}]:{port}" not in line))
    before = logins(chain)
    with pytest.raises(HostKeyRejected, match=rf"of host \(.*@{address}:{port}\) is not known"):
        user.to(**through(chain, *HOPS)).run("true")
    assert stranger not in after(chain, before)


def test_nothing_stays_open_of_a_way_that_ends_in_the_middle(chain, user):
    before = taken()
    with pytest.raises(Unreachable, match="the machine before it does not get through"):
        user.to(**through(chain, *HOPS, port=9, connect_timeout=1.0)).run("true")
    assert left_since(before) == set()


@pytest.mark.parametrize("lost", HOPS)
def test_a_command_behind_a_hop_that_dies_is_followed_to_its_end(chain, user, tmp_path, lost):
    transport = user.to(**through(chain, *HOPS))
    before = taken()
    run = f"run-{lost}"
    place = transport.claim(run, 1)
    op = Operation(run=run, epoch=1, attempt=f"attempt-{lost}", number=1, digest="d", place=place)
    witness = chain.home("target") / f"witness-{lost}"
    caught = []
    thread = threading.Thread(
        target=lambda: caught.append(transport.run(f"echo ran >> {witness.name}; sleep 2; echo end", op=op))
    )
    thread.start()
    while not witness.exists() and thread.is_alive():
        time.sleep(0.01)
    chain.kill(lost)
    chain.restart(lost)
    thread.join(60)
    assert [result.stdout for result in caught] == ["end\n"]
    assert witness.read_text() == "ran\n"
    transport.release()
    transport.close()
    assert left_since(before) == set()
    shutil.rmtree(chain.home("target") / ".opsflow", ignore_errors=True)
