"""What is sent of a release, what runs around it, and what is left when that is cut short."""

import os
import tarfile
from contextlib import suppress
from pathlib import Path

import pytest

from opsflow import TaskFailed, TransferFailed
from opsflow.model import Action
from opsflow_tasks import deploy_app


@pytest.fixture
def source(tmp_path):
    """The artifact: a directory of the project."""
    path = tmp_path / "project/app"
    (path / "bin").mkdir(parents=True)
    (path / "bin/game").write_text("#!/bin/sh\necho game\n")
    (path / "bin/game").chmod(0o755)
    (path / "link").symlink_to("bin/game")
    for number in range(1, 6):
        (path / f"level {number}").write_text(f"level {number}\n" * 1000)
    return path


@pytest.fixture
def deploy(drive, source):
    """`deploy(RELEASE, ...)`: the task for what `source` holds at that moment."""
    first = drive(deploy_app, artifact="app", path="srv")

    def make(release, **params):
        given = {"artifact": "app", "path": "srv", "release": release, **params}
        task = type(first)(deploy_app, first.home, first.directory, given)
        task.sent = sent = []
        put = task.transport.put

        def watched(stream, path, **options):
            with tarfile.open(fileobj=stream) as archive:
                sent.append({m.name for m in archive if m.isfile() and not m.name.startswith(".opsflow")})
            stream.seek(0)
            return put(stream, path, **options)

        task.transport.put = watched
        return task

    return make


def held(release):
    """What a release holds: permissions and content by name; what opsflow keeps there is left out."""
    found = {}
    for path in sorted(Path(release).rglob("*")):
        if not path.name.startswith(".opsflow"):
            content = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
            found[str(path.relative_to(release))] = (path.lstat().st_mode & 0o777, content)
    return found


@pytest.fixture
def releases(home):
    return home / "srv/releases"


class TestSendingLess:
    def test_only_what_the_live_release_does_not_have_is_sent(self, deploy, source, releases):
        deploy("1").apply()
        (source / "level 3").write_text("changed\n")
        (source / "new").write_text("new\n")
        (source / "level 5").unlink()
        task = deploy("2")
        task.apply()
        assert task.sent == [{"level 3", "new"}]
        expected = held(source)
        found = held(releases / "2")
        assert found.pop("REVISION")
        assert found == expected

    def test_permissions_of_the_artifact_count_and_those_of_the_live_release_do_not(self, deploy, source, releases):
        deploy("1").apply()
        (source / "level 1").chmod(0o600)
        (releases / "1/level 2").chmod(0o666)
        task = deploy("2")
        task.apply()
        assert task.sent == [{"level 1"}]
        modes = {name: mode for name, (mode, _) in held(releases / "2").items()}
        assert (modes["level 1"], modes["level 2"], modes["bin/game"]) == (0o600, 0o644, 0o755)

    def test_what_was_changed_in_the_live_release_is_sent_again(self, deploy, source, releases):
        deploy("1").apply()
        one = releases / "1"
        (one / "level 1").write_text("spoilt")
        (one / "level 2").unlink()
        (one / "level 3").unlink()
        (one / "level 3").symlink_to("/etc/passwd")
        (one / "level 4").unlink()
        (one / "level 4").mkdir()
        (one / "level 4/more").write_text("more")
        task = deploy("2")
        task.apply()
        assert task.sent == [{"level 1", "level 2", "level 3", "level 4"}]
        found = held(releases / "2")
        del found["REVISION"]
        assert found == held(source)

    def test_a_name_of_two_lines_in_the_live_release_does_no_harm(self, deploy, source, releases, home):
        deploy("1").apply()
        (home / "precious").write_text("kept")
        (releases / "1/level 4").unlink()
        (releases / "1/level 4").mkdir()
        (releases / f"1/level 4/x\n{home}").mkdir(parents=True)
        (releases / f"1/level 4/x\n{home}/precious").write_text("x")
        task = deploy("2")
        task.apply()
        assert len(task.sent[0]) == 6
        assert (home / "precious").read_text() == "kept"
        assert held(releases / "2").keys() == {*held(source), "REVISION"}

    def test_odd_names_are_sent_each_time(self, deploy, source, releases):
        (source / "a\nb").write_text("x")
        (source / "back\\slash").write_text("x")
        (source / "-n ü 'quoted'").write_text("x")
        deploy("1").apply()
        (source / "new").write_text("x")
        task = deploy("2")
        task.apply()
        assert task.sent == [{"a\nb", "back\\slash", "new"}]
        assert held(releases / "2").keys() == {*held(source), "REVISION"}

    def test_without_the_programs_all_is_sent(self, deploy, source, hide):
        deploy("1").apply()
        hide("sha256sum", "busybox")
        task = deploy("2")
        task.apply()
        assert len(task.sent[0]) == 6


def test_a_release_for_which_there_is_no_room_fails_in_the_plan(deploy, home, tools):
    (tools / "df").write_text("#!/bin/sh\necho Filesystem 1024-blocks Used Available\necho /dev/x 100 80 20 80% /\n")
    (tools / "df").chmod(0o755)
    assert deploy("1").plan().why == f"release 1 takes 39 KiB, and there are 20 KiB free for {home}/srv"


def test_a_directory_that_may_not_be_written_fails_in_the_plan_unless_there_is_nothing_to_do(deploy, home, read_only):
    deploy("1").apply()
    read_only(home / "srv/releases")
    assert deploy("2").plan().why.endswith("/srv/releases (see `become`)")
    assert deploy("1").plan().action is Action.UNCHANGED


class TestRevision:
    def test_it_says_what_was_deployed(self, deploy, releases):
        outputs = deploy("1").apply()
        assert (releases / "1/REVISION").read_text() == f"{outputs['sha256']}\n"
        deploy("2", revision="v2-7-gabcdef").apply()
        assert (releases / "2/REVISION").read_text() == "v2-7-gabcdef\n"

    def test_one_that_the_artifact_brings_stays_unless_another_is_given(self, deploy, source, releases):
        (source / "REVISION").write_text("its own\n")
        deploy("1").apply()
        assert (releases / "1/REVISION").read_text() == "its own\n"
        deploy("2", revision="another").apply()
        assert (releases / "2/REVISION").read_text() == "another\n"


class TestHooks:
    def test_they_run_in_the_release_in_their_order(self, deploy, home, source):
        say = 'echo "$0 $RELEASE $(readlink "$APP/current") $(pwd)" >>"$APP/../said"'
        hooks = {name: say.replace("$0", name) for name in ("after_stage", "before_switch", "after_switch")}
        task = deploy("1", **hooks)
        preview = task.plan()
        assert [line.split(":")[0].strip() for line in preview.diff.splitlines()[1:]] == list(hooks)
        task.execute(preview)
        one = f"{home}/srv/releases/1"
        assert (home / "said").read_text().splitlines() == [
            f"after_stage 1  {one}",
            f"before_switch 1  {one}",
            f"after_switch 1 releases/1 {one}",
        ]
        (source / "new").touch()
        two = deploy("2", **hooks)
        preview = two.plan()
        outputs = two.execute(preview)
        (home / "said").unlink()
        two.revert(preview, outputs)
        assert (home / "said").read_text() == f"after_switch 1 releases/1 {one}\n"

    def test_each_belongs_to_its_phase(self, deploy, home):
        hooks = {name: f'echo {name} >>"$APP/../said"' for name in ("after_stage", "before_switch", "after_switch")}
        deploy("1", phase="stage", **hooks).apply()
        assert (home / "said").read_text() == "after_stage\n"
        deploy("1", phase="switch", **hooks).apply()
        assert (home / "said").read_text() == "after_stage\nbefore_switch\nafter_switch\n"
        assert deploy("1", **hooks).plan().action is Action.UNCHANGED

    @pytest.mark.parametrize(
        ("hook", "live"),
        [("after_stage", "releases/1"), ("before_switch", "releases/1"), ("after_switch", "releases/2")],
    )
    def test_one_that_fails_fails_the_step_and_the_revert_puts_all_back(self, deploy, home, source, hook, live):
        deploy("1").apply()
        (source / "new").touch()
        task = deploy("2", **{hook: "echo no such luck >&2; false"})
        preview = task.plan()
        with pytest.raises(TaskFailed, match=f"the {hook} command ends with 1: no such luck"):
            task.execute(preview)
        assert os.readlink(home / "srv/current") == live
        if hook == "after_switch":  # which a revert runs, too
            task = deploy("2", after_switch="true")
        task.revert(preview)
        assert os.readlink(home / "srv/current") == "releases/1"
        deploy("2").apply()
        assert os.readlink(home / "srv/current") == "releases/2"

    @pytest.mark.parametrize("hook", ["after_stage", "before_switch"])
    def test_a_revert_of_what_never_went_live_reloads_nothing(self, deploy, home, source, hook):
        deploy("1").apply()
        (source / "new").touch()
        task = deploy("2", **{hook: "false"}, after_switch='touch "$APP/reloaded"')
        preview = task.plan()
        with pytest.raises(TaskFailed):
            task.execute(preview)
        task.revert(preview)
        assert not (home / "srv/reloaded").exists()

    def test_a_release_that_was_not_completed_is_no_good_one(self, deploy, releases):
        task = deploy("1", phase="stage", after_stage="false")
        with pytest.raises(TaskFailed):
            task.execute(task.plan())
        assert deploy("1", phase="switch").plan().why == "release 1 is not staged"
        deploy("1", phase="stage", after_stage="touch built").apply()
        assert (releases / "1/built").exists()

    def test_one_that_takes_too_long_is_ended(self, deploy):
        task = deploy("1", before_switch="sleep 600", hook_timeout="300ms")
        with pytest.raises(TaskFailed, match=r"the before_switch command did not end within 0\.30 s"):
            task.execute(task.plan())

    def test_secrets_reach_them_by_their_environment(self, deploy, home):
        task = deploy("1", after_switch='printf %s "$TOKEN" >"$APP/token"', env={"TOKEN": {"$secret": "env:T"}})
        task.secrets["env:T"] = "very-secret"
        task.apply()
        assert (home / "srv/token").read_text() == "very-secret"


class TestCrashes:
    @pytest.mark.parametrize("phase", ["both", "stage"])
    def test_after_a_kill_at_any_point_of_its_scripts_a_revert_puts_it_back(
        self, deploy, home, source, releases, killer, phase
    ):
        deploy("1").apply()
        (source / "new").touch()
        task = deploy("2", phase=phase, after_stage="true", after_switch="true")
        for at in range(1, 80, 4 if phase == "stage" else 2):
            preview = task.plan()
            assert preview.action is Action.CHANGE
            killer(at)
            with suppress(TaskFailed, TransferFailed):
                task.execute(preview)
            struck = killer.struck
            killer(0)
            for _ in range(2):
                task.revert(preview)
                assert os.readlink(home / "srv/current") == "releases/1"
                assert {p.name for p in releases.glob("[!.]*")} <= {"1", "2"}
                assert not list(releases.glob(".2*"))
            if not struck:
                break
        assert 20 < at < 80
        task.apply()
        assert held(releases / "2").keys() == {*held(source), "REVISION"}

    def test_after_a_kill_at_any_point_another_execution_completes_it_and_nothing_else_is_left(
        self, deploy, home, source, releases, killer
    ):
        for number in range(1, 80, 2):
            (source / "new").write_text(f"{number}")
            task = deploy(f"{number}", keep=1, after_switch='basename "$RELEASE" | tr -d "\\n" >"$APP/reloaded"')
            killer(number)
            with suppress(TaskFailed, TransferFailed):
                task.execute(task.plan())
            struck = killer.struck
            killer(0)
            if (preview := task.plan()).action is Action.CHANGE:  # what sends less may die without harm
                task.execute(preview)
            assert task.plan().action is Action.UNCHANGED
            assert os.readlink(home / "srv/current") == f"releases/{number}"
            assert (home / "srv/reloaded").read_text() == f"{number}"
            assert held(releases / f"{number}").keys() == {*held(source), "REVISION"}
            assert not list(releases.glob(".*")), number
            if not struck:
                break
        assert 20 < number < 80

    def test_a_revert_that_is_killed_at_any_point_is_done_by_the_next(self, deploy, home, source, releases, killer):
        deploy("1").apply()
        (source / "new").touch()
        for at in range(1, 40):
            task = deploy("2")
            preview = task.plan()
            outputs = task.execute(preview)
            killer(at)
            with suppress(TaskFailed):
                task.revert(preview, outputs)
            struck = killer.struck
            killer(0)
            task.revert(preview, outputs)
            assert os.readlink(home / "srv/current") == "releases/1"
            assert (releases / "2/.opsflow-release").read_text().split()[1] == "bad"
            if not struck:
                break
        assert 4 < at < 39


def test_it_works_with_the_programs_of_every_target(deploy, home, source, releases, userland):
    (source / "suid").write_text("x")
    one = deploy("1", shared=["data/"])
    one.apply()
    (home / "srv/current/data/save").write_text("kept")
    (source / "level 1").write_text("changed")
    two = deploy("2", shared=["data/"], after_stage="touch built", after_switch="true", keep=2)
    preview = two.plan()
    outputs = two.execute(preview)
    assert two.sent == [{"level 1"}]
    assert two.plan().outputs == outputs
    assert os.readlink(home / "srv/current") == "releases/2"
    assert (home / "srv/current/data/save").read_text() == "kept"
    found = held(releases / "2")
    for added in ("REVISION", "built", "data"):
        del found[added]
    assert found == held(source)
    two.revert(preview, outputs)
    assert os.readlink(home / "srv/current") == "releases/1"
    assert sorted(p.name for p in (home / "srv").iterdir()) == ["current", "releases", "shared"]
    assert sorted(p.name for p in releases.iterdir()) == ["1", "2"]
