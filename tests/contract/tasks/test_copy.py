import os
import stat
from contextlib import suppress

import pytest
from pydantic import ValidationError

from opsflow import TaskFailed, TransferFailed
from opsflow.model import Action
from opsflow_tasks import copy


@pytest.fixture
def put(drive):
    """`put(CONTENT, ...)`: the task for `~/etc/game.conf`."""

    def make(content="new\n", **params):
        given = {} if "src" in params else {"content": content}
        return drive_again(drive, **{"dest": "etc/game.conf", **given, **params})

    return make


def drive_again(drive, **params):
    first = vars(drive_again).setdefault("of", {}).get(drive)
    if first is None:
        first = drive_again.of[drive] = drive(copy, **params)
        return first
    return type(first)(copy, first.home, first.directory, params)


@pytest.fixture
def etc(home):
    path = home / "etc"
    path.mkdir()
    return path


@pytest.fixture
def conf(etc):
    """The file as it was before."""
    path = etc / "game.conf"
    path.write_text("old\n")
    path.chmod(0o640)
    os.utime(path, (1_600_000_000, 1_600_000_000))
    return path


def seen(directory):
    """Everything in a directory: kind, permissions, owner, time, content. What is on its way is the transport's."""
    found = {}
    for path in directory.iterdir():
        if path.name.startswith(".opsflow-"):
            continue
        about = path.lstat()
        content = os.readlink(path) if path.is_symlink() else path.read_bytes()
        found[path.name] = (stat.filemode(about.st_mode), about.st_uid, about.st_gid, about.st_mtime, content)
    return found


def mode(path):
    return path.stat().st_mode & 0o7777


class TestPutting:
    def test_a_new_file_is_made_for_its_user_alone(self, put, etc):
        task = put()
        preview = task.plan()
        assert (preview.action, preview.summary) == (Action.CHANGE, f"create {etc}/game.conf")
        assert preview.diff == f"+mode 0600\n--- /dev/null\n+++ {etc}/game.conf\n@@ -0,0 +1 @@\n+new\n"
        outputs = task.execute(preview)
        assert outputs["path"] == f"{etc}/game.conf"
        assert outputs["mode"] == "0600"
        assert (etc / "game.conf").read_text() == "new\n"
        assert mode(etc / "game.conf") == 0o600
        assert [p.name for p in etc.iterdir()] == ["game.conf"]

    def test_a_file_that_is_there_is_replaced_whole_keeps_its_mode_and_leaves_a_backup(self, put, conf, etc):
        with conf.open() as reader:
            outputs = put().apply()
            assert reader.read() == "old\n"
        assert (conf.read_text(), mode(conf), outputs["mode"]) == ("new\n", 0o640, "0640")
        (backup,) = [p for p in etc.iterdir() if p != conf]
        assert (backup.read_text(), mode(backup)) == ("old\n", 0o640)
        assert backup.name.startswith(".game.conf.20260101T000000Z-test-")
        assert backup.name.endswith("~")

    def test_the_second_time_nothing_is_written(self, put, conf, etc):
        task = put(mode="0644")
        outputs = task.apply()
        before = seen(etc)
        again = task.plan()
        assert (again.action, again.outputs) == (Action.UNCHANGED, outputs)
        assert task.transport.trips == 1
        assert seen(etc) == before

    def test_a_dry_run_shows_the_difference_and_changes_nothing(self, put, conf, etc):
        before = seen(etc)
        diff = put("old\nnew", mode="600").plan().diff
        assert diff == (
            f"-mode 0640\n+mode 0600\n--- {conf}\n+++ {conf}\n@@ -1 +1,2 @@\n old\n+new\n\\ No newline at end of file\n"
        )
        assert seen(etc) == before

    def test_round_trips_are_few(self, put, conf):
        task = put()
        preview = task.plan()
        assert task.transport.trips == 1  # and one that gets the text for the difference
        task.execute(preview)
        assert task.transport.trips == 2
        task.revert(preview)
        assert task.transport.trips == 1

    def test_a_local_file_of_any_size_and_content_is_copied(self, put, etc, tmp_path):
        data = os.urandom(300_000)
        (tmp_path / "project/data").write_bytes(data)
        task = put(src="data", dest="etc/")
        preview = task.plan()
        assert preview.diff.startswith("+mode 0600\n+300000 bytes, SHA-256 ")
        task.execute(preview)
        assert (etc / "data").read_bytes() == data
        assert task.plan().action is Action.UNCHANGED

    def test_only_mode_and_owner_are_changed_where_the_content_is_right(self, put, conf, etc):
        task = put("old\n", mode="4755")
        preview = task.plan()
        assert (preview.summary, preview.diff) == (f"set mode and owner of {conf}", "-mode 0640\n+mode 4755\n")
        before = seen(etc)
        task.execute(preview)
        assert task.transport.trips == 1
        assert mode(conf) == 0o4755
        assert task.plan().action is Action.UNCHANGED
        for _ in range(2):
            task.revert(preview, {})
            assert seen(etc) == before

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    @pytest.mark.parametrize(("owner", "ids"), [("1:2", (1, 2)), ("daemon", (1, 0)), (":bin", (0, 2))])
    def test_the_owner_is_set_before_anybody_sees_the_file(self, put, conf, owner, ids, etc):
        task = put(owner=owner)
        before = seen(etc)
        preview = task.plan()
        assert f"+owner {ids[0]}:{ids[1]}\n" in preview.diff
        task.execute(preview)
        assert (conf.stat().st_uid, conf.stat().st_gid) == ids
        assert task.plan().action is Action.UNCHANGED
        task.revert(preview, {})
        assert seen(etc) == before

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
    def test_the_owner_of_what_was_there_is_kept(self, put, conf):
        os.chown(conf, 7, 8)
        put().apply()
        assert (conf.stat().st_uid, conf.stat().st_gid) == (7, 8)

    def test_names_with_blanks_quotes_and_stars_are_taken_as_they_are(self, put, etc):
        name = "it's a *$(touch x)`y` \\ file"
        task = put(dest=f"etc/{name}")
        (etc / name).write_text("old")
        preview = task.plan()
        task.execute(preview)
        assert (etc / name).read_text() == "new\n"
        task.revert(preview, {})
        assert seen(etc).keys() == {name}
        assert (etc / name).read_text() == "old"

    def test_a_secret_reaches_the_file_and_nothing_else(self, put, conf):
        task = put({"$secret": "env:KEY"})
        task.secrets["env:KEY"] = "very-secret"
        preview = task.plan()
        assert preview.diff == " (what it holds is not shown)\n"
        assert "very-secret" not in f"{preview}{task.execute(preview)}"
        assert conf.read_text() == "very-secret"

    def test_the_difference_can_be_hidden(self, put, conf):
        assert put(diff=False).plan().diff == " (what it holds is not shown)\n"


class TestRefusing:
    @pytest.mark.parametrize(
        ("params", "why"),
        [
            ({"dest": "nowhere/f"}, "there is no directory"),
            ({"dest": "etc"}, "is a directory: end it with / to put a file into it"),
            ({"dest": "/dev/null"}, "is neither a file nor a symbolic link"),
            ({"owner": "nobody-of-that-name"}, "there is no user nobody-of-that-name"),
            ({"owner": ":nobody-of-that-name"}, "there is no group nobody-of-that-name"),
            ({"dest": f"etc/{'x' * 200}"}, "has a name of more than 180 bytes"),
            ({"src": "none"}, "No such file or directory"),
            ({"src": "."}, "`deploy_app` takes directories"),
        ],
    )
    def test_what_cannot_be_done_fails_in_the_plan(self, put, etc, params, why):
        preview = put(**params).plan()
        assert preview.action is Action.FAIL
        assert why in preview.why

    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({}, "give either `src` or `content`"),
            ({"src": "a", "content": "b"}, "give either `src` or `content`"),
            ({"content": "x", "dest": "etc/"}, "has to name the file"),
            ({"content": "x", "mode": 0o644}, "write it in quotes"),
            ({"content": "x", "mode": "rw"}, "pattern"),
            ({"content": "x", "owner": "a b"}, "pattern"),
        ],
    )
    def test_parameters_that_make_no_sense_are_refused(self, params, message):
        with pytest.raises(ValidationError, match=message):
            copy.params().model_validate({"dest": "d", **params}, context={"directory": "/"})

    @pytest.mark.parametrize(
        ("params", "why"),
        [
            ({}, "it belongs to "),
            ({"dest": "etc/new", "owner": "0:0"}, "only root can give it to 0"),
            ({"dest": "etc/new", "owner": ":0"}, "only root can give it the group 0"),
        ],
    )
    def test_what_only_root_may_do_is_known_before(self, put, conf, tools, params, why):
        program = (
            "#!/bin/sh\ncase $* in -u | -G) echo 65534 ;; '-u root') echo 0 ;; *) exec /usr/bin/id \"$@\" ;; esac\n"
        )
        (tools / "id").write_text(program)
        (tools / "id").chmod(0o755)
        preview = put(**params).plan()
        assert preview.action is Action.FAIL
        assert f"cannot be changed: {why}" in preview.why
        assert "become" in preview.why
        assert put("old\n").plan().action is Action.UNCHANGED

    def test_what_others_changed_after_the_plan_is_not_overwritten(self, put, conf):
        task = put()
        preview = task.plan()
        conf.write_text("theirs")
        with pytest.raises(TaskFailed, match="was changed by somebody else since"):
            task.execute(preview)
        task.revert(preview)
        assert conf.read_text() == "theirs"

    def test_a_source_that_changed_after_the_plan_is_refused(self, put, conf, tmp_path, etc):
        source = tmp_path / "project/source"
        source.write_text("planned")
        task = put(src="source")
        preview = task.plan()
        source.write_text("changed")
        with pytest.raises(TaskFailed, match="has changed since this attempt was planned"):
            task.execute(preview)
        before = conf.read_text()
        task.revert(preview)
        assert before == conf.read_text() == "old\n"
        assert [p.name for p in etc.iterdir()] == ["game.conf"]


class TestReverting:
    def test_the_very_file_that_was_there_comes_back(self, put, conf, etc):
        before, inode = seen(etc), conf.stat().st_ino
        task = put(mode="0600")
        preview = task.plan()
        outputs = task.execute(preview)
        for _ in range(2):
            task.revert(preview, outputs)
            assert seen(etc) == before
        assert conf.stat().st_ino == inode

    def test_a_file_that_was_not_there_is_removed(self, put, etc):
        task = put()
        preview = task.plan()
        task.execute(preview)
        for _ in range(2):
            task.revert(preview)
            assert not list(etc.iterdir())

    @pytest.mark.parametrize("target", ["elsewhere", "folder", "nothing"])
    def test_a_link_is_replaced_not_followed_and_comes_back(self, put, etc, target):
        (etc / "elsewhere").write_text("e")
        (etc / "folder").mkdir()
        (etc / "game.conf").symlink_to(target)
        task = put()
        preview = task.plan()
        assert preview.diff.startswith(f"-link to {target}\n")
        outputs = task.execute(preview)
        assert not (etc / "game.conf").is_symlink()
        assert (etc / "elsewhere").read_text() == "e"
        for _ in range(2):
            task.revert(preview, outputs)
            assert os.readlink(etc / "game.conf") == target
        assert {p.name for p in etc.iterdir()} == {"elsewhere", "folder", "game.conf"}
        assert not list((etc / "folder").iterdir())

    def test_what_others_made_of_it_since_is_kept_beside_it(self, put, conf, etc):
        task = put()
        preview = task.plan()
        outputs = task.execute(preview)
        conf.write_text("edited")
        for _ in range(2):
            task.revert(preview, outputs)
            assert conf.read_text() == "old\n"
        (kept,) = [p for p in etc.iterdir() if p != conf]
        assert (kept.name.endswith(".edited~"), kept.read_text()) == (True, "edited")

    def test_a_backup_that_is_gone_is_told(self, put, conf, etc):
        task = put()
        preview = task.plan()
        task.execute(preview)
        for path in etc.glob(".*"):
            path.unlink()
        with pytest.raises(TaskFailed, match=r"its backup .* is gone"):
            task.revert(preview)

    def test_without_hard_links_it_is_copied_and_comes_back_the_same(self, put, conf, etc, tools):
        (tools / "ln").write_text("#!/bin/sh\nexit 1\n")
        (tools / "ln").chmod(0o755)
        before = seen(etc)
        task = put()
        preview = task.plan()
        outputs = task.execute(preview)
        assert conf.read_text() == "new\n"
        task.revert(preview, outputs)
        assert seen(etc) == before

    def test_backups_of_other_runs_go_but_for_the_newest(self, put, conf, etc):
        others = [f".game.conf.2025010{n}T000000Z-aaaaa-{n:06}~" for n in range(1, 6)]
        for name in [*others, ".game.conf.d.20250101T000000Z-aaaaa-000000~", ".game.conf~"]:
            (etc / name).touch()
        put(keep=3).apply()
        put("newer\n", keep=3).apply()
        kept = {p.name for p in etc.glob(".game.conf*")}
        assert {".game.conf.d.20250101T000000Z-aaaaa-000000~", ".game.conf~", *others[-2:]} <= kept
        assert not kept & set(others[:3])
        assert len([name for name in kept if "20260101" in name]) == 1


class TestCrashes:
    @pytest.mark.parametrize("there", ["nothing", "a file", "a link", "another mode"])
    def test_after_every_interrupted_operation_a_revert_puts_it_back(self, put, etc, conf, there):
        task = put("old\n" if there == "another mode" else "new\n", mode="0600")
        if there in {"nothing", "a link"}:
            conf.unlink()
        if there == "a link":
            conf.symlink_to("nowhere")
        before = seen(etc)
        for interrupted in task.interruptions(1 if there == "another mode" else 2):
            preview = task.plan()
            assert preview.action is Action.CHANGE
            interrupted(preview)
            task.revert(preview)
            task.revert(preview)
            now = seen(etc)
            assert now.keys() == before.keys()
            assert there == "a link" or now == before
        task.apply()
        assert conf.read_text() == ("old\n" if there == "another mode" else "new\n")

    @pytest.mark.parametrize("there", ["nothing", "a file", "a link"])
    def test_after_a_kill_at_any_point_of_the_script_a_revert_puts_it_back(self, put, etc, conf, there, killer):
        if there != "a file":
            conf.unlink()
        if there == "a link":
            conf.symlink_to("nowhere")
        before = seen(etc)
        task = put(mode="0600")
        for at in range(1, 30):
            preview = task.plan()
            killer(at)
            with suppress(TaskFailed, TransferFailed):
                task.execute(preview)
            struck = killer.struck
            killer(0)
            task.revert(preview)
            now = seen(etc)
            assert now.keys() == before.keys()
            assert there == "a link" or now == before
            if not struck:
                break
        assert 5 < at < 29

    def test_a_revert_that_is_killed_at_any_point_is_done_by_the_next(self, put, etc, conf, killer):
        before = seen(etc)
        task = put()
        for at in range(1, 30):
            killer(0)
            preview = task.plan()
            outputs = task.execute(preview)
            killer(at)
            with suppress(TaskFailed):
                task.revert(preview, outputs)
            struck = killer.struck
            killer(0)
            task.revert(preview, outputs)
            assert seen(etc) == before
            if not struck:
                break
        assert 3 < at < 29


def test_it_works_with_the_programs_of_every_target(put, conf, etc, userland):
    before = seen(etc)
    task = put(mode="0604", owner=f"{os.getuid()}:{os.getgid()}")
    preview = task.plan()
    outputs = task.execute(preview)
    assert (conf.read_text(), mode(conf)) == ("new\n", 0o604)
    assert task.plan().outputs == outputs
    task.revert(preview, outputs)
    assert seen(etc) == before
    conf.unlink()
    conf.symlink_to("folder")
    (etc / "folder").mkdir()
    preview = task.plan()
    task.execute(preview)
    assert conf.read_text() == "new\n"
    task.revert(preview)
    assert os.readlink(conf) == "folder"
    assert not list((etc / "folder").iterdir())


def test_every_parameter_is_described():
    properties = copy.params().model_json_schema()["properties"]
    assert all(field.get("description") for field in properties.values())
