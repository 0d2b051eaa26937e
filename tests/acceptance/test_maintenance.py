"""The playbooks of `playbooks/maintenance`: what each says of itself holds, on a fleet of fakes; three of them on real hosts."""

import tarfile

import pytest
from fake_fleet import ROOT, Maintenance

from opsflow.plan import Selection

SERVERS = ["game-a1", "game-a2", "game-b1", "game-b2"]


@pytest.fixture
def maintenance(tmp_path, monkeypatch):
    return Maintenance(tmp_path, monkeypatch)


def places(done, *lines):
    """Where lines stand, each once."""
    assert [done.count(line) for line in lines] == [1] * len(lines)
    return [done.index(line) for line in lines]


# On the fleet of fakes


def test_shards_that_share_a_database_fall_together(maintenance):
    maintenance.fleet.says("start game", host="game-b2", status=1, times=1)
    assert maintenance.apply("shared-database").exit_code == 3
    assert set(maintenance.states.values()) == {"reverted"}
    for host in SERVERS:
        assert maintenance.fleet.on(host)[0].endswith("stop game")
        assert maintenance.fleet.on(host)[-1].endswith("start game")
    (down,) = places(maintenance.fleet.done, "db-1: game-schema down")
    last_start = max(i for i, line in enumerate(maintenance.fleet.done[:down]) if "start game" in line)
    assert last_start < down < min(i for i, line in enumerate(maintenance.fleet.done) if "start" in line and i > down)


def test_a_database_that_does_not_fail_lets_each_shard_go_at_its_own_pace(maintenance):
    assert maintenance.apply("shared-database").exit_code == 0
    for host in SERVERS:
        stop, up, start = places(
            maintenance.fleet.done,
            f"{host}: sudo systemctl stop game", "db-1: game-schema up", f"{host}: sudo systemctl start game",
        )  # fmt: skip
        assert stop < up < start


def drained(done):
    """The most servers that were out of the balancer at a time, and those that are at the end."""
    out, most = set(), 0
    for line in done:
        if line.startswith("lb-1: "):
            _, _, verb, host = line.split()
            (out.add if verb == "drain" else out.discard)(host)
            most = max(most, len(out))
    return most, out


def test_one_server_at_a_time_is_out_of_the_balancer(maintenance):
    maintenance.fleet.says("--version", "2.0")
    assert maintenance.apply("drain", "version=2.10").exit_code == 0
    assert drained(maintenance.fleet.done) == (1, set())
    assert maintenance.fleet.on("game-b2") == ["game-install --version", "game-install 2.10", "game-install --check"]


def test_a_server_that_is_not_well_gets_the_old_version_and_its_place_back_and_is_the_last(maintenance):
    maintenance.fleet.says("--version", "2.0")
    maintenance.fleet.says("--check", host="game-a2", status=1)
    assert maintenance.apply("drain", "version=2.10").exit_code == 1
    assert drained(maintenance.fleet.done) == (1, set())
    assert maintenance.fleet.on("game-a2")[-4:] == ["game-install --check"] * 3 + ["game-install 2.0"]
    assert maintenance.fleet.on("game-a1")[-1] == "game-install --check"
    assert maintenance.fleet.on("game-b1") == []


def test_a_canary_shard_that_fails_is_put_back_and_no_other_shard_is_touched(maintenance):
    maintenance.fleet.says("check", host="game-a2", status=1)
    assert maintenance.apply("canary").exit_code == 1
    assert maintenance.fleet.on("game-a1")[-1] == "game-settings unset limit"
    assert maintenance.fleet.on("game-a2")[-1] == "game-settings unset limit"
    assert maintenance.fleet.on("game-b1") == maintenance.fleet.on("game-b2") == []
    assert maintenance.states["set@game-b1"] == "pending"


def test_a_host_that_is_dark_before_is_found_before_anything_is_done(maintenance):
    maintenance.fleet.dark("game-b1")
    summary = maintenance.apply("patch")
    assert (summary.exit_code, summary.hint) == (1, "2 of 12 nodes would fail; nothing was changed")
    assert maintenance.fleet.done == []


def test_a_host_that_goes_dark_in_the_middle_is_taken_up_again_alone(maintenance):
    maintenance.fleet.dark("game-b1", at="get -y upgrade")
    assert maintenance.apply("patch").exit_code == 1
    states = maintenance.states
    assert states.pop("install@game-b1") == "failed"
    assert set(states.values()) == {"succeeded"}
    maintenance.fleet.mend()
    before = len(maintenance.fleet.done)
    assert maintenance.resume().exit_code == 0
    assert maintenance.fleet.done[before:] == ["game-b1: apt-get -y upgrade"]


def test_a_migration_is_done_once_for_each_database_before_its_servers_reload(maintenance):
    assert maintenance.apply("migrate-once").exit_code == 0
    done = maintenance.fleet.done
    assert sorted(line for line in done if "migrate" in line) == [
        "game-a1: game-migrate accounts-a", "game-b1: game-migrate accounts-b",
    ]  # fmt: skip
    for host, first in (("game-a2", "game-a1"), ("game-b2", "game-b1")):
        database = f"accounts-{host[5]}"
        migrated, reloaded = places(done, f"{first}: game-migrate {database}", f"{host}: game-reload {database}")
        assert migrated < reloaded


@pytest.mark.parametrize(("reject", "code", "last"), [(False, 0, "game-move accounts"), (True, 3, "game-freeze off")])
def test_what_comes_after_a_question_is_done_or_what_came_before_it_put_back(maintenance, reject, code, last):
    maintenance.fleet.says("count", "17")
    assert maintenance.apply("approved").exit_code == 7
    assert maintenance.fleet.on("db-1") == ["game-freeze on", "game-count accounts"]
    maintenance.approve(reject=reject)
    assert maintenance.resume().exit_code == code
    assert maintenance.fleet.on("db-1")[-1] == last


def test_a_check_asks_every_host_everything_and_leaves_nothing_to_put_back(maintenance):
    maintenance.fleet.says("df -P", host="db-1", status=1)
    assert maintenance.apply("audit").exit_code == 1
    states = maintenance.states
    assert states.pop("disk@db-1") == "failed"
    assert len(states) == 11
    assert set(states.values()) == {"succeeded"}
    maintenance.fleet.mend()
    assert maintenance.apply("audit").exit_code == 0


@pytest.mark.parametrize(
    ("failing", "code", "told"), [("", 0, "is over"), ("game-b1", 3, "was put off"), ("game-a1", 3, "was put off")]
)
def test_players_are_told_last_however_it_ended(maintenance, failing, code, told):
    if failing:
        maintenance.fleet.says("restart", host=failing, status=1, times=1)
    assert maintenance.apply("announced").exit_code == code
    said = maintenance.fleet.done[-1]
    assert said == f'localhost: tell-players "maintenance {told}"'
    assert maintenance.fleet.on("localhost") == [said.removeprefix("localhost: ")]


@pytest.mark.parametrize(
    ("selection", "wanted"),
    [
        (Selection(limit="game"), {"cert-install server", "cert-reload"}),
        (Selection(limit="lb"), {"cert-install balancer", "cert-reload"}),
        (Selection(tags=("reload",)), {"cert-reload"}),
    ],
)
def test_a_part_of_it_keeps_its_order(maintenance, selection, wanted):
    assert maintenance.apply("certificates", selection=selection).exit_code == 0
    assert {line.partition(": ")[2] for line in maintenance.fleet.done} == wanted
    for host in dict.fromkeys(line.partition(":")[0] for line in maintenance.fleet.done):
        assert maintenance.fleet.on(host)[-1] == "cert-reload"
        assert len(maintenance.fleet.on(host)) == len(wanted & {"cert-reload"}) + any("install" in w for w in wanted)


def test_a_playbook_within_a_playbook_is_done_for_each_database_in_turn(maintenance):
    assert maintenance.apply("nightly").exit_code == 0
    assert maintenance.fleet.done == [
        "db-1: game-dump accounts", "db-1: game-dump --verify accounts",
        "db-1: game-dump items", "db-1: game-dump --verify items", "db-1: game-dump --expire 14d",
    ]  # fmt: skip


@pytest.mark.parametrize(("given", "pinned"), [((), "2.10"), (("version=2.20",), "2.20"), (("version=2.1",), None)])
def test_a_version_stays_the_text_that_it_is(maintenance, given, pinned):
    assert maintenance.apply("pinned", *given).exit_code == 0
    assert maintenance.fleet.on("game-a1")[1:] == ([f"game-pin {pinned}"] if pinned else [])


# On real hosts

PROGRAMS = {
    "lb": 'echo "$1 $2" >>balancer; [ "$1" = drain ] || rm -f "out-$2"; [ "$1" = enable ] || touch "out-$2"',
    "install": 'case $1 in --version) cat version;; --check) [ ! -e broken ];; *) echo "$1" >version;; esac',
    "settings": 'case $1 in set) echo "$3" >"$2";; unset) rm -f "$2";; check) [ ! -e broken ];; esac',
}


@pytest.fixture(scope="module")
def real(make_project):
    """Two shards of one server, and a balancer, that are really there."""
    with make_project(["game-a1", "game-b1", "lb-1"]) as project:
        text = project.fleet.inventory()
        for host, variables in (("game-a1", 'shard = "a"'), ("game-b1", 'shard = "b"'), ("lb-1", "")):
            text = text.replace(f'[hosts."{host}"]\n', f'[hosts."{host}"]\nvars = {{ {variables} }}\n')
        text += '\n[groups.game]\nhosts = ["game-a1", "game-b1"]\nvars = { balancer = "lb-1" }\n'
        project.write("inventories/fleet.toml", text)
        for path in (ROOT / "playbooks/maintenance").glob("*.toml"):
            project.write(f"playbooks/{path.name}", path.read_text())
        for host in project.fleet.names:
            for name, body in PROGRAMS.items():
                project.on(host, name).write_text(body + "\n")
            project.on(host, "version").write_text("2.0\n")
        yield project


@pytest.fixture
def broken(real):
    """The second server is not well."""
    real.on("game-b1", "broken").touch()
    yield
    real.on("game-b1", "broken").unlink()


DRAIN = ("apply", "playbooks/drain.toml", "--yes", "-e", "lb=sh lb", "-e", "install=sh install", "-e", "version=2.10")


def test_real_servers_are_drained_in_turn_and_one_that_is_not_well_is_put_back(real, broken):
    real.opsflow(*DRAIN, code=3)
    assert real.on("lb-1", "balancer").read_text().split("\n")[:-1] == [
        "drain game-a1", "enable game-a1", "drain game-b1", "enable game-b1",
    ]  # fmt: skip
    assert [real.on(host, "version").read_text() for host in ("game-a1", "game-b1")] == ["2.10\n", "2.0\n"]
    assert not list(real.on("lb-1").glob("out-*"))


def test_a_real_canary_that_fails_leaves_the_others_alone(real):
    real.on("game-a1", "broken").touch()
    real.opsflow("apply", "playbooks/canary.toml", "--yes", "-e", "settings=sh settings", code=1)
    assert not real.on("game-a1", "limit").exists()
    assert not real.on("game-b1", "limit").exists()
    real.on("game-a1", "broken").unlink()
    real.opsflow("rollback", "--yes")
    real.opsflow("apply", "playbooks/canary.toml", "--yes", "-e", "settings=sh settings", "-e", "limit:=5000")
    assert [real.on(host, "limit").read_text() for host in ("game-a1", "game-b1")] == ["5000\n"] * 2
    set_a, set_b = (real.show().nodes[f"set@{host}"]["attempts"][0] for host in ("game-a1", "game-b1"))
    assert set_a["finished"] < set_b["started"]


def release(directory, version, check):
    """An archive of a release."""
    source = directory / version
    source.mkdir(parents=True)
    (source / "check").write_text(check)
    with tarfile.open(directory / f"game-{version}.tar.gz", "w:gz") as archive:
        archive.add(source / "check", "check")
    return directory / f"game-{version}.tar.gz"


def test_every_real_host_has_the_release_before_one_switches_and_all_switch_back(real, tmp_path):
    def apply(archive, **more):
        return real.opsflow("apply", "playbooks/stage-then-switch.toml", "--yes", "-e", f"artifact={archive}", **more)

    apply(release(tmp_path, "1.0", "exit 0\n"))
    run = real.show()
    assert max(run.times("finished", step="stage")) < min(run.times("started", step="switch"))
    current = {host: real.on(host, "game/current").resolve() for host in ("game-a1", "game-b1")}
    assert all((path / "check").read_text() == "exit 0\n" for path in current.values())
    apply(release(tmp_path, "2.0", "case $PWD in *b1*) exit 1 ;; esac\n"), code=3)
    assert {host: real.on(host, "game/current").resolve() for host in current} == current
