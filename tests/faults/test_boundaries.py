"""The controller dies at every named boundary; the whole campaign is `make faults`.

OPSFLOW_FAULTS=N has each boundary N times, on either way and with either database by turns.
"""

from collections import defaultdict

import pytest
from fault_boundaries import BACK, BOUNDARIES, BY_NAME, FORWARD
from fault_hooks import place
from fault_phases import DATABASES
from fault_pool import Arena, restarting, stage_of
from fault_rounds import RandomRound, boundary_rounds, census, played
from fault_servers import RestartRound
from fault_witness import judged
from fault_work import APPLY, FAILING


@pytest.fixture(scope="module")
def restarts(tmp_path_factory):
    return tmp_path_factory.mktemp("restarts") / "restarts"


@pytest.fixture(scope="module")
def stages(fleet, mariadb, restarts, tmp_path_factory, address):
    """Two hosts of their own, with a project for each kind of journal."""
    arena = Arena(
        directory=tmp_path_factory.mktemp("stages") / "arena",
        address=f"{address.rpartition('.')[0]}.101",
        url=mariadb.create("boundaries"),
        port=mariadb.port,
        restarts=restarts,
    )
    with arena.stages() as found:
        yield found


def check(told):
    assert [(one.line(), one.wrong) for one in told if one.wrong] == []


def test_every_boundary_is_in_the_code_and_has_a_name_of_its_own():
    assert len(BY_NAME) == len(BOUNDARIES)
    for boundary in BOUNDARIES:
        owner, name = place(boundary.point)
        assert callable(getattr(owner, name)), boundary.name


def test_a_boundary_whose_place_is_gone_is_an_error():
    with pytest.raises(AttributeError, match="not in the code any more"):
        place("opsflow.engine.loop:Engine.gone")


@pytest.fixture(scope="module")
def rounds(stages):
    """All rounds of a campaign, by boundary; there are none of a boundary that is reached nowhere: an error."""
    found = defaultdict(list)
    for one in boundary_rounds(census(stages["sqlite"]), DATABASES, 10):
        found[one.boundary].append(one)
    return found


@pytest.mark.parametrize("name", list(BY_NAME))
def test_a_controller_that_dies_leaves_nothing_done_twice_or_lost_or_told_wrongly(stages, rounds, many, name):
    turns = [(FORWARD, "sqlite"), (BACK, "mariadb"), (FORWARD, "mariadb"), (BACK, "sqlite")]
    told = []
    for n in range(many):
        way, database = turns[(list(BY_NAME).index(name) + n) % len(turns)]
        fits = [one for one in rounds[name] if one.database == database and way in (one.way, *_others(name))]
        told.append(played(fits[n % len(fits)], stages[database]))
    check(told)
    assert all(one.done["kills"] == 1 for one in told)


def _others(name):
    """The ways on which a boundary is not: what it has is taken instead."""
    return {FORWARD, BACK} - {*BY_NAME[name].ways}


def test_controllers_that_die_one_after_the_other_leave_nothing_wrong_either(stages, many):
    rounds = [
        RandomRound(seed=seed, deaths=deaths, way=way, database=database)
        for seed in range(1, 1 + many)
        for way, database, deaths in [(FORWARD, "sqlite", 0), (BACK, "mariadb", 0), (FORWARD, "mariadb", 2), (BACK, "sqlite", 2)]
    ]  # fmt: skip
    told = [played(one, stages[one.database]) for one in rounds]
    check(told)
    assert sum(one.done["kills"] for one in told) >= 4 * many


def test_a_database_server_that_is_restarted_again_and_again_makes_no_difference(stages, mariadb, restarts):
    with restarting(mariadb, restarts):
        rounds = [RestartRound(number=n, way=way) for n, way in enumerate((FORWARD, BACK))]
        told = [played(one, stage_of(one, stages)) for one in rounds]
    check(told)
    assert sum(one.done["restarts met"] for one in told) > 0


# The witness is heard


def after(stages, way):
    """A run that came through, and what the witness saw of it."""
    stage = stages["sqlite"]
    stage.clear()
    assert stage.quick(*{FORWARD: APPLY, BACK: FAILING}[way]).code in {0, 3}
    assert judged(stage, way) == []
    return stage, stage.witness.read_text().splitlines()


def moved(lines, line, to):
    """The lines with one of them elsewhere."""
    rest = [other for other in lines if other != line]
    return [*rest[:to], line, *rest[to:]]


TAMPERED = {
    "run twice": lambda lines: [*lines, *[line for line in lines if "begin last" in line]],
    "lost": lambda lines: [line for line in lines if line != "one end last 1 1"],
    "false state": lambda lines: [*lines, "one begin breaks 1 1", "one end breaks 1 1"],
    "no intent": lambda lines: [*lines, "one begin wide 9 1"],
    "out of order": lambda lines: moved(lines, "two begin last 1 1", 3),
    "at once": lambda lines: moved(lines, "one end first 1 1", 9),
}


@pytest.mark.parametrize("kind", list(TAMPERED))
def test_what_the_witness_says_otherwise_is_found(stages, kind):
    stage, lines = after(stages, FORWARD)
    stage.witness.write_text("".join(f"{line}\n" for line in TAMPERED[kind](lines)))
    assert kind in {found for found, _ in judged(stage, FORWARD)}


def test_a_revert_too_many_is_found_and_so_is_one_that_came_too_early(stages):
    stage, lines = after(stages, BACK)
    backs = [n for n, line in enumerate(lines) if line == "one back first 1 0"]
    stage.witness.write_text("".join(f"{line}\n" for line in [*lines, lines[backs[0]]]))
    assert "run twice" in {kind for kind, _ in judged(stage, BACK)}
    early = lines.index("one back breaks 1 0")
    stage.witness.write_text("".join(f"{line}\n" for line in moved(lines, lines[backs[0]], early)))
    assert "out of order" in {kind for kind, _ in judged(stage, BACK)}


def test_what_is_still_there_after_its_revert_is_found(stages):
    stage, _ = after(stages, BACK)
    (stage.fleet.home("one") / "last.done").touch()
    assert [kind for kind, _ in judged(stage, BACK)] == ["false state"]
