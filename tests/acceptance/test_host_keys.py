"""Host keys as an operator meets them: first contact, a key that changed, and a run that goes on with its machines."""

import subprocess

import pytest
from command_line import eventually, step

FIRST = step("first", "echo x >> first", creates="first", undo="rm -f first")


@pytest.fixture
def known(project):
    """The user's own file of known hosts, empty yet; the inventory names none."""
    text = project.fleet.inventory()
    (line,) = [line for line in text.splitlines() if line.startswith("known_hosts")]
    project.write("inventories/fleet.toml", text.replace(line + "\n", ""))
    project.write("home/.ssh/config", "HashKnownHosts no\n")
    return project.home / ".ssh" / "known_hosts"


def fingerprint(project, host):
    key = project.fleet.directory / ".fleet" / host / "host_key.pub"
    return subprocess.run(["ssh-keygen", "-lf", key], capture_output=True, text=True, check=True).stdout.split()[1]


def new_key(project, host):
    """Give a host another key, and tell known_hosts of it as an administrator would; what undoes that."""
    files = project.fleet.directory / ".fleet" / host
    old = {path: path.read_text() for path in (files / "host_key", files / "host_key.pub", project.fleet.known_hosts)}
    words = old[files / "host_key.pub"].split()
    for path in (files / "host_key", files / "host_key.pub"):
        path.unlink()
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", files / "host_key"], check=True)
    new = (files / "host_key.pub").read_text().split()
    project.fleet.known_hosts.write_text(project.fleet.known_hosts.read_text().replace(words[1], new[1]))

    def undo():
        for path, text in old.items():
            path.write_text(text)
        project.fleet.restart(host)

    project.fleet.restart(host)
    return undo


def test_strangers_stay_out_unless_told_otherwise_and_are_known_from_then_on(project, known):
    playbook = project.playbook(FIRST)
    refused = project.opsflow("apply", playbook, "--yes", code=1)
    assert "is not known" in refused.out + refused.err
    assert fingerprint(project, "one") in refused.out + refused.err
    assert not known.exists()

    told = project.opsflow("apply", playbook, "--yes", "--accept-new-host-keys")
    for host in ("one", "two"):
        assert told.err.count(fingerprint(project, host)) == 1
    assert "was not known; its key is accepted" in told.err
    assert sorted(known.read_text().splitlines()) == sorted(project.fleet.known_hosts.read_text().splitlines())
    assert project.files()["one"] == {"first": 1}

    assert "accepted" not in project.opsflow("plan", playbook).err


def test_programs_are_told_too(project, known):
    done = project.opsflow("apply", project.playbook(FIRST), "--yes", "--accept-new-host-keys", "--output", "jsonl")
    told = [event for event in done.events if event["event"] == "host_key_accepted"]
    assert {event["host"]: event["key"] for event in told} == {
        host: f"ssh-ed25519 {fingerprint(project, host)}" for host in ("one", "two")
    }
    assert done.events[-1]["event"] == "run_finished"


def test_a_changed_key_is_refused_with_the_option_too(project, known):
    playbook = project.playbook(FIRST)
    project.opsflow("plan", playbook, "--accept-new-host-keys")
    before = fingerprint(project, "one")
    new_key(project, "one")
    for command in (("apply", playbook, "--yes"), ("plan", playbook)):
        refused = project.opsflow(*command, "--accept-new-host-keys", code=1)
        said = refused.out + refused.err
        assert "is not the one that is known" in said
        assert before in said
        assert fingerprint(project, "one") in said
    assert project.files()["one"] == {}


def assert_is_refused(said, *keys):
    assert "is not the one that this run has seen" in said
    assert [key for key in keys if key not in said] == []


def test_an_interrupted_run_goes_on_only_with_the_machine_that_it_began_with(project):
    playbook = project.playbook(
        step("slow", "echo > began; sleep 1; echo x >> slow", creates="slow", undo="rm -f slow", hosts="one"),
        step("second", "echo x >> second", undo="rm -f second", hosts="one"),
    )
    with project.started("apply", playbook, "--yes") as process:
        eventually(project.on("one", "began").exists, during=process)
        process.kill()
        process.communicate(timeout=60)
    eventually(project.on("one", "slow").exists)
    run = project.show().id
    before = fingerprint(project, "one")
    back = new_key(project, "one")

    refused = project.opsflow("resume", run, "--accept-new-host-keys", code=4)
    assert_is_refused(refused.err, before, fingerprint(project, "one"))
    assert project.show(run).states == {"slow@one": "unknown", "second@one": "blocked"}
    assert project.files()["one"] == {"began": 0, "slow": 1}

    back()
    project.opsflow("resume", run)
    assert project.show(run).state == "succeeded"
    assert project.files()["one"] == {"began": 0, "slow": 1, "second": 1}


def test_a_rollback_needs_the_machine_that_was_changed(project):
    project.opsflow("apply", project.playbook(FIRST), "--yes")
    run = project.show().id
    before = fingerprint(project, "one")
    back = new_key(project, "one")

    refused = project.opsflow("rollback", run, "--yes", code=4)
    assert_is_refused(refused.err, before, fingerprint(project, "one"))
    assert project.files() == {"one": {"first": 1}, "two": {}}

    back()
    project.opsflow("rollback", run, "--yes")
    assert project.show(run).state == "rolled_back"
    assert project.files() == {"one": {}, "two": {}}
