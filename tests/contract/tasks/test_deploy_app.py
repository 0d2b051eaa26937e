import copy
import gzip
import hashlib
import io
import os
import socket
import tarfile
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from pydantic import ValidationError

from opsflow import TaskFailed
from opsflow.model import Action
from opsflow_tasks import _archive, _release, deploy_app


def entry(name, content=b"", *, mode=0o644, **more):
    info = tarfile.TarInfo(name)
    info.mode, info.size, info.mtime = mode, len(content), 1_700_000_000
    for key, value in more.items():
        setattr(info, key, value)
    return info, content


def folder(name):
    return entry(name, mode=0o755, type=tarfile.DIRTYPE)


def link(name, target):
    return entry(name, type=tarfile.SYMTYPE, linkname=target)


def make_tar(path, *entries, compression="gz"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, f"w:{compression}") as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return path


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def version(project, number):
    path = project / f"dist/game-{number}.tar.gz"
    if path.exists():  # gzip notes the time: made again it would be another file
        return path
    return make_tar(
        path,
        folder("bin"),
        entry("bin/game", f"#!/bin/sh\necho {number}\n".encode(), mode=0o755),
        link("game", "bin/game"),
        entry("etc/config", b"shipped"),
    )


def tree(root):
    """Everything below a directory: links by their target, files by their content; what opsflow adds is left out."""
    found = {}
    for path in sorted(Path(root).rglob("*")):
        if path.name.startswith(".opsflow-release") or path.name == "REVISION":
            continue
        name = str(path.relative_to(root))
        found[name] = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
    return found


@pytest.fixture
def project(tmp_path):
    return tmp_path / "project"


@pytest.fixture
def deploy(drive, project, home):
    """`deploy(NUMBER, PARAMETER=VALUE, ...)`: the task for that version, to `~/srv/game`."""

    def make(number, **params):
        artifact = version(project, number)
        return drive_to(drive, artifact=str(artifact.relative_to(project)), **params)

    return make


@pytest.fixture
def drive(drive):
    # One project for all the drivers of a test.
    drivers = []

    def make(module, **params):
        if not drivers:
            drivers.append(drive(module, **params))
            return drivers[0]
        first = drivers[0]
        return type(first)(module, first.home, first.directory, params)

    return make


def drive_to(drive, **params):
    return drive(deploy_app, **{"path": "srv/game", **params})


def live(home, link="current"):
    at = home / "srv/game" / link
    return os.readlink(at) if at.is_symlink() else None


def states(home):
    markers = (home / "srv/game/releases").glob("*/.opsflow-release")
    return {m.parent.name: m.read_text().split()[1] for m in markers}


class TestDeploying:
    def test_a_release_is_unpacked_and_made_live(self, deploy, home, project):
        task = deploy(1)
        outputs = task.apply()
        digest = sha256(project / "dist/game-1.tar.gz")
        root = home / "srv/game"
        assert outputs == {
            "release": digest[:12],
            "path": f"{root}/releases/{digest[:12]}",
            "sha256": digest,
            "previous": None,
        }
        assert live(home) == f"releases/{digest[:12]}"
        assert (root / "current/game").read_text() == "#!/bin/sh\necho 1\n"
        assert (root / "current/bin/game").stat().st_mode & 0o777 == 0o755
        assert (root / "current/etc/config").stat().st_mode & 0o777 == 0o644
        assert (root / "current/etc/config").stat().st_mtime == 1_700_000_000
        assert root.stat().st_mode & 0o777 == 0o755
        assert [p.name for p in (root / "releases").iterdir()] == [digest[:12]]
        assert sorted(p.name for p in root.iterdir()) == ["current", "releases", "shared"]

    def test_the_same_artifact_again_is_unchanged_with_the_same_outputs(self, deploy):
        deploy(1).apply()
        task = deploy(2)
        outputs = task.apply()
        assert outputs["previous"]
        again = task.plan()
        assert again.action is Action.UNCHANGED
        assert again.outputs == outputs

    def test_round_trips_are_few(self, deploy):
        task = deploy(1)
        preview = task.plan()
        assert task.transport.trips == 1
        task.execute(preview)
        assert task.transport.trips == 3
        task.revert(preview)
        assert task.transport.trips == 1

    def test_the_plan_changes_nothing_and_shows_the_switch(self, deploy, home):
        one = deploy(1, release="1.0")
        preview = one.plan()
        assert not (home / "srv").exists()
        assert preview.summary == f"deploy 1.0 in {home}/srv/game (now nothing)"
        one.apply()
        assert deploy(2, release="2.0").plan().diff == "-current -> releases/1.0\n+current -> releases/2.0\n"

    def test_going_back_to_an_old_release_only_switches(self, deploy, home):
        deploy(1, release="1").apply()
        deploy(2, release="2").apply()
        task = deploy(1, release="1")
        task.apply()
        assert task.transport.trips == 1
        assert live(home) == "releases/1"

    def test_a_name_that_is_taken_by_other_content_is_refused(self, deploy):
        deploy(1, release="same").apply()
        preview = deploy(2, release="same").plan()
        assert preview.action is Action.FAIL
        assert "other content" in preview.why

    def test_what_opsflow_did_not_make_is_left_alone(self, deploy, home):
        (home / "srv/game/releases/1").mkdir(parents=True)
        assert "was not made by opsflow" in deploy(1, release="1").plan().why
        (home / "srv/game/current").mkdir()
        assert "is not a symbolic link" in deploy(2).plan().why

    def test_path_may_be_absolute_or_begin_with_a_tilde(self, deploy, home):
        deploy(1, path=f"{home}/a", release="1").apply()
        deploy(1, path="~/b", release="1").apply()
        assert os.readlink(home / "a/current") == os.readlink(home / "b/current") == "releases/1"

    def test_an_artifact_that_changed_after_the_plan_is_refused(self, deploy, project, home):
        task = deploy(1)
        preview = task.plan()
        make_tar(project / "dist/game-1.tar.gz", entry("other", b"x"))
        with pytest.raises(TaskFailed, match="has changed since"):
            task.execute(preview)
        assert live(home) is None

    def test_a_checksum_that_does_not_fit_fails_in_the_plan(self, deploy):
        preview = deploy(1, sha256="0" * 64).plan()
        assert preview.action is Action.FAIL
        assert "has the SHA-256" in preview.why

    def test_a_missing_artifact_fails_in_the_plan(self, drive):
        preview = drive_to(drive, artifact="dist/none.tar.gz").plan()
        assert preview.action is Action.FAIL
        assert "No such file" in preview.why

    def test_a_link_that_others_moved_after_the_plan_is_not_taken_over(self, deploy, home):
        deploy(1, release="1").apply()
        task = deploy(2, release="2")
        preview = task.plan()
        deploy(3, release="3").apply()
        with pytest.raises(TaskFailed, match="points to releases/3 now, no longer to releases/1"):
            task.execute(preview)
        assert live(home) == "releases/3"

    def test_the_link_is_there_at_every_moment(self, deploy, home, userland):
        deploy(1, release="1").apply()
        missing, over = [], threading.Event()

        def watch():
            while not over.is_set():
                if not os.path.lexists(home / "srv/game/current"):
                    missing.append(1)

        watcher = threading.Thread(target=watch)
        watcher.start()
        deploy(2, release="2").apply()
        over.set()
        watcher.join()
        assert not missing


class TestStages:
    def test_stage_leaves_the_link_and_switch_makes_it_live(self, deploy, home):
        deploy(1, release="1").apply()
        stage, switch = (deploy(2, release="2", phase=phase) for phase in ("stage", "switch"))
        assert switch.plan().why == "release 2 is not staged"
        staged = stage.apply()
        assert live(home) == "releases/1"
        assert stage.plan().outputs == staged
        switched = switch.apply()
        assert live(home) == "releases/2"
        assert switched["previous"] == "1"
        assert switch.plan().outputs == switched
        assert stage.plan().outputs == staged

    def test_both_reverts_put_the_old_release_back(self, deploy, home):
        deploy(1, release="1").apply()
        stage, switch = (deploy(2, release="2", phase=phase) for phase in ("stage", "switch"))
        first = stage.plan()
        stage.execute(first)
        second = switch.plan()
        switch.execute(second)
        for _ in range(2):
            switch.revert(second)
            stage.revert(first)
            assert live(home) == "releases/1"
            assert states(home) == {"1": "good", "2": "bad"}


class TestReverting:
    def test_the_link_goes_back_and_the_release_is_bad(self, deploy, home):
        deploy(1, release="1").apply()
        task = deploy(2, release="2")
        preview = task.plan()
        outputs = task.execute(preview)
        for _ in range(2):
            task.revert(preview, outputs)
            assert live(home) == "releases/1"
            assert states(home) == {"1": "good", "2": "bad"}

    def test_the_first_deploy_removes_the_link(self, deploy, home):
        task = deploy(1)
        preview = task.plan()
        task.execute(preview)
        for _ in range(2):
            task.revert(preview)
            assert live(home) is None

    def test_an_attempt_that_failed_early_leaves_no_directories(self, deploy, project, home):
        task = deploy(1)
        preview = task.plan()
        make_tar(project / "dist/game-1.tar.gz", entry("other", b"x"))
        with pytest.raises(TaskFailed):
            task.execute(preview)
        task.revert(preview)
        assert not (home / "srv/game").exists()

    def test_a_link_that_others_moved_since_is_left(self, deploy, home):
        deploy(1, release="1").apply()
        task = deploy(2, release="2")
        preview = task.plan()
        task.execute(preview)
        deploy(3, release="3").apply()
        task.revert(preview)
        assert live(home) == "releases/3"

    def test_a_release_that_was_there_before_stays_good(self, deploy, home):
        deploy(1, release="1").apply()
        deploy(2, release="2").apply()
        task = deploy(1, release="1")
        preview = task.plan()
        task.execute(preview)
        task.revert(preview)
        assert live(home) == "releases/2"
        assert states(home) == {"1": "good", "2": "good"}

    def test_the_recorded_target_is_used_even_if_it_is_no_release(self, deploy, home):
        (home / "srv/game/legacy").mkdir(parents=True)
        (home / "srv/game/current").symlink_to(home / "srv/game/legacy")
        task = deploy(1)
        preview = task.plan()
        task.execute(preview)
        task.revert(preview)
        assert live(home) == f"{home}/srv/game/legacy"

    def test_a_recorded_release_that_is_gone_fails_the_revert(self, deploy, home):
        deploy(1, release="1").apply()
        task = deploy(2, release="2")
        preview = task.plan()
        task.execute(preview)
        (home / "srv/game/releases/1").rename(home / "elsewhere")
        with pytest.raises(TaskFailed, match="pointed to releases/1, which is gone"):
            task.revert(preview)
        assert live(home) == "releases/2"

    def test_a_bad_release_can_be_deployed_again(self, deploy, home):
        task = deploy(1, release="1")
        preview = task.plan()
        task.execute(preview)
        (home / "srv/game/current/etc/config").write_text("spoilt")
        task.revert(preview)
        task.apply()
        assert (home / "srv/game/current/etc/config").read_text() == "shipped"
        assert states(home) == {"1": "good"}

    @pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
    def test_every_interruption_is_reverted(self, deploy, home, first):
        if not first:
            deploy(1, release="1").apply()
        task = deploy(2, release="2")
        expected = live(home)
        for interrupted in task.interruptions(3):
            preview = task.plan()
            assert preview.action is Action.CHANGE
            interrupted(preview)
            task.revert(preview)
            task.revert(preview)
            assert live(home) == expected
            left = {p.name for p in (home / "srv/game/releases").glob("*")}
            assert left <= {"1", "2"}
            assert states(home).get("2", "bad") == "bad"
        task.apply()
        assert live(home) == "releases/2"


class TestShared:
    def test_shared_names_are_links_in_every_release(self, deploy, home):
        (home / "srv/game/shared/etc").mkdir(parents=True)
        (home / "srv/game/shared/etc/config").write_text("mine")
        task = deploy(1, shared=["etc/config", "data/", "var/log/"])
        task.apply()
        current = home / "srv/game/current"
        assert (current / "etc/config").read_text() == "mine"
        assert os.readlink(current / "data") == "../../shared/data"
        (current / "data/save").write_text("kept")
        (current / "var/log/game.log").write_text("kept")
        deploy(2, shared=["data/"]).apply()
        assert (current / "data/save").read_text() == "kept"
        assert (home / "srv/game/shared/var/log/game.log").read_text() == "kept"

    def test_a_shared_file_that_is_not_there_fails_in_the_plan(self, deploy):
        preview = deploy(1, shared=["etc/config"]).plan()
        assert preview.action is Action.FAIL
        assert "shared/etc/config has to be put there first" in preview.why


class TestKeeping:
    def test_only_the_newest_good_ones_stay(self, deploy, home):
        for number in range(1, 6):
            deploy(number, release=str(number), keep=3).apply()
        assert set(states(home)) == {"3", "4", "5"}

    def test_what_was_live_before_stays_even_if_it_is_old(self, deploy, home):
        for number in range(1, 4):
            deploy(number, release=str(number)).apply()
        deploy(1, release="1").apply()
        deploy(4, release="4", keep=1).apply()
        assert set(states(home)) == {"1", "4"}

    def test_bad_ones_do_not_count_and_go(self, deploy, home):
        deploy(1, release="1").apply()
        for number in (2, 3):
            task = deploy(number, release=str(number))
            preview = task.plan()
            task.execute(preview)
            task.revert(preview)
        deploy(4, release="4", keep=2).apply()
        assert states(home) == {"1": "good", "4": "good"}
        assert not list((home / "srv/game/releases").glob(".*"))


class TestKindsOfArtifacts:
    @pytest.mark.parametrize(("ending", "compression"), [("tar", ""), ("tgz", "gz"), ("tar.bz2", "bz2"), ("txz", "xz")])
    def test_tar(self, drive, project, home, ending, compression):
        path = make_tar(project / f"a.{ending}", entry("./x", b"content"), compression=compression)
        drive_to(drive, artifact=f"a.{ending}", sha256=sha256(path)).apply()
        assert tree(home / "srv/game/current/") == {"x": b"content"}

    def test_hard_links_become_files(self, drive, project, home):
        make_tar(project / "a.tar", entry("x", b"content"), entry("y", type=tarfile.LNKTYPE, linkname="x"))
        drive_to(drive, artifact="a.tar").apply()
        assert tree(home / "srv/game/current/") == {"x": b"content", "y": b"content"}

    def test_zip_with_modes_and_links(self, drive, project, home):
        with zipfile.ZipFile(project_file(project, "a.zip"), "w") as archive:
            for name, mode, content in (("run", 0o100755, "x"), ("l", 0o120777, "run"), ("d/f", 0, "y")):
                info = zipfile.ZipInfo(name, (2024, 1, 2, 3, 4, 6))
                info.external_attr = mode << 16 | 0x20  # a DOS attribute, so that no mode is made up
                archive.writestr(info, content)
        drive_to(drive, artifact="a.zip").apply()
        current = home / "srv/game/current"
        assert tree(f"{current}/") == {"run": b"x", "l": "run", "d": None, "d/f": b"y"}
        assert (current / "run").stat().st_mode & 0o777 == 0o755
        assert (current / "d/f").stat().st_mode & 0o777 == 0o644

    def test_a_directory_whatever_its_times(self, drive, project, home):
        for number, name in enumerate(("a", "b")):
            (project_file(project, f"{name}/sub/f")).parent.mkdir(parents=True)
            (project / name / "sub/f").write_text("content")
            (project / name / "link").symlink_to("sub/f")
            os.utime(project / name / "sub/f", (number, number))
        outputs = drive_to(drive, artifact="a").apply()
        assert tree(home / "srv/game/current/") == {"sub": None, "sub/f": b"content", "link": "sub/f"}
        assert drive_to(drive, artifact="b").plan().outputs == outputs
        (project / "b/sub/f").write_text("changed")
        assert drive_to(drive, artifact="b").plan().action is Action.CHANGE

    def test_any_other_file_is_the_release_s_only_one(self, drive, project, home):
        project_file(project, "game").write_bytes(b"\x7fELF")
        (project / "game").chmod(0o755)
        drive_to(drive, artifact="game").apply()
        assert tree(home / "srv/game/current/") == {"game": b"\x7fELF"}
        assert (home / "srv/game/current/game").stat().st_mode & 0o777 == 0o755

    def test_setuid_bits_are_dropped(self, drive, project, home):
        make_tar(project / "a.tar", entry("x", b"", mode=0o6755))
        drive_to(drive, artifact="a.tar").apply()
        assert (home / "srv/game/current/x").stat().st_mode & 0o7777 == 0o755


def project_file(project, name):
    path = project / name
    project.mkdir(exist_ok=True)
    return path


def long_chain():
    """Links in folders of which the whole path is longer than the system takes: `realpath` gives up on it."""
    letters, path, entries = "abcdefghijklmnop", "", []
    for letter in letters:
        entries += [folder(f"{path}{'d' * 247}"), link(f"{path}{letter}", "d" * 247)]
        path += f"{'d' * 247}/"
    far = f"{'/'.join(letters)}/{'l' * 254}"
    return [*entries, link(far, "../" * len(letters)), link("escape", f"{far}/../../etc"), entry("escape/evil", b"x")]


MALICIOUS = {
    # As published, of other programs that unpack.
    "CVE-2007-4559 (tarfile): up": [entry("../../../../tmp/evil", b"x")],
    "CVE-2001-1267 (GNU tar): up, from below": [entry("a/../../../evil", b"x")],
    "CVE-2002-0399 (GNU tar): up, from the root": [entry("/../evil", b"x")],
    "CVE-2016-6321 (GNU tar): what stands before the last ..": [entry("etc/motd/../../shadow", b"x")],
    "CVE-2006-6097 (GNU tar): a member that makes links": [entry("x", b"Symlink / to y\n", type=b"N")],
    "CVE-2011-5325 (busybox): through a link": [link("l", "/tmp"), entry("l/evil", b"x")],
    "CVE-2018-20834 (node-tar): through a hard link": [
        entry("x", type=tarfile.LNKTYPE, linkname="/etc/passwd"),
        entry("x", b"evil"),
    ],
    "CVE-2021-32803 (node-tar): a folder becomes a link": [folder("d"), link("d", "e"), entry("d/evil", b"x")],
    "CVE-2021-32804 (node-tar): many slashes": [entry("////tmp/evil", b"x")],
    "CVE-2021-37701 (node-tar): a link that ends with a slash": [link("d/", "."), entry("d/evil", b"x")],
    "CVE-2024-12718 (tarfile): a folder outside gets other modes": [folder("../../x")],
    "CVE-2025-4330, 4138, 4435, 4517 (tarfile): a path too long to follow": long_chain(),
    # And by their kind.
    "parent": [entry("../evil", b"x")],
    "parent inside": [entry("a/../../evil", b"x")],
    "absolute": [entry("/tmp/evil", b"x")],
    "absolute link": [link("a", "/etc"), entry("b", b"")],
    "link out": [link("a", "../outside")],
    "deep link out": [folder("d"), link("d/a", "../../outside")],
    "write through a link": [link("a", "."), entry("a/evil", b"x")],
    "link over what lies below": [entry("a/x", b"x"), link("a", ".")],
    "chain of links": [link("here", "."), link("out", "here/..")],
    "link then file of the same name": [link("a", "b"), entry("a", b"x")],
    "file under a file": [entry("a", b"x"), entry("a/b", b"y")],
    "device": [entry("null", type=tarfile.CHRTYPE, devmajor=1, devminor=3)],
    "fifo": [entry("pipe", type=tarfile.FIFOTYPE)],
    "the marker": [entry("./.opsflow-release", b"0 good ")],
    "too large": [entry("big", b"0" * 3_000_000)],
}
HARMLESS = [
    folder("d"),
    entry("d/..x", b"1"),
    entry("d/a -- b", b"2"),
    link("d/up", "../d/..x"),
    link("to", "d"),
    link("dot", "./d"),
]


class TestMaliciousArchives:
    @pytest.mark.parametrize("name", MALICIOUS)
    def test_it_is_refused_in_the_plan(self, drive, project, name):
        make_tar(project / "a.tar.gz", *MALICIOUS[name])
        preview = drive_to(drive, artifact="a.tar.gz", max_size="2MB").plan()
        assert preview.action is Action.FAIL
        assert "member" in preview.why or "link" in preview.why or "max_size" in preview.why

    def test_cve_2025_8194_negative_sizes_neither_turn_the_reader_back_nor_make_room(self, drive, project):
        for kind in (tarfile.REGTYPE, tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
            info, _ = entry("x", type=kind)
            info.size = -1024
            project_file(project, "a.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) * 3 + bytes(1024))
            preview = drive_to(drive, artifact="a.tar").plan()
            assert preview.action is Action.FAIL
            assert "-1024 bytes" in preview.why or "header" in preview.why

    @pytest.mark.parametrize(
        "header",
        [
            pytest.param(b"0 path=x\n", id="CVE-2019-20907: a record of no length"),
            pytest.param(b"9" * 60_000, id="CVE-2024-6232: digits without end"),
            pytest.param(bytes(30_000_000), id="a header as large as the memory"),
        ],
    )
    def test_headers_cannot_hold_up_the_reader(self, drive, project, header):
        make_tar(project / "a.tar.gz", entry("h", header, type=tarfile.XHDTYPE), entry("x", b"content"))
        assert drive_to(drive, artifact="a.tar.gz").plan().action is Action.FAIL

    def test_cve_2025_62518_what_lies_in_a_member_is_not_taken_for_one(self, drive, project, home):
        inner = entry("evil", b"")[0].tobuf(tarfile.GNU_FORMAT) + bytes(512)
        record = f"{len('14 size=1024') + 1} size={len(inner)}\n".encode()
        parts = [entry("h", record, type=tarfile.XHDTYPE), entry("outer")]
        data = b"".join(
            info.tobuf(tarfile.USTAR_FORMAT) + content.ljust(512, b"\0")[: 512 * bool(content)]
            for info, content in parts
        )
        project_file(project, "a.tar").write_bytes(data + inner + bytes(1024))
        drive_to(drive, artifact="a.tar").apply()
        assert tree(home / "srv/game/current/") == {"outer": inner}

    def test_cve_2025_45582_an_earlier_archive_lays_no_link_for_a_later_one(self, drive, project, home):
        make_tar(project / "1.tar", folder("inside"), link("x", "inside"))
        make_tar(project / "2.tar", entry("x/evil", b"evil"))
        drive_to(drive, artifact="1.tar", release="1").apply()
        drive_to(drive, artifact="2.tar", release="2").apply()
        assert tree(home / "srv/game/releases/1") == {"inside": None, "x": "inside"}

    def test_cve_2024_0450_parts_of_a_zip_that_share_their_bytes_are_refused(self, drive, project):
        with zipfile.ZipFile(project_file(project, "a.zip"), "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a", bytes(1_000_000))
            for name in ("b", "c"):
                info = copy.copy(archive.filelist[0])
                info.filename = name
                archive.filelist.append(info)
        assert drive_to(drive, artifact="a.zip").plan().action is Action.FAIL

    def test_members_that_are_nothing_count_too(self, drive, project, monkeypatch):
        monkeypatch.setattr(_archive, "_MOST_MEMBERS", 100)
        make_tar(project / "a.tar", *[folder("./")] * 200)
        assert "100 files" in drive_to(drive, artifact="a.tar").plan().why

    def test_a_hard_link_to_outside_is_refused(self, drive, project):
        make_tar(project / "a.tar", entry("a", type=tarfile.LNKTYPE, linkname="/etc/passwd"))
        assert "no file of the archive" in drive_to(drive, artifact="a.tar").plan().why

    @pytest.mark.parametrize("name", ["../evil", "/evil", "a/../../evil"])
    def test_a_zip_is_no_way_out(self, drive, project, name):
        with zipfile.ZipFile(project_file(project, "a.zip"), "w") as archive:
            archive.writestr(name, "x")
        assert "outside of the release" in drive_to(drive, artifact="a.zip").plan().why

    def test_a_link_out_of_a_directory_is_refused(self, drive, project):
        project_file(project, "a").mkdir()
        (project / "a/l").symlink_to("/etc")
        assert drive_to(drive, artifact="a").plan().action is Action.FAIL

    def test_harmless_ones_are_taken(self, drive, project, home):
        make_tar(project / "a.tar", *HARMLESS)
        drive_to(drive, artifact="a.tar").apply()
        assert (home / "srv/game/current/to/up").read_text() == "1"

    def test_what_is_no_archive_is_said_to_be_none(self, drive, project):
        project_file(project, "a.tar.gz").write_bytes(gzip.compress(b"no tar"))
        assert drive_to(drive, artifact="a.tar.gz").plan().action is Action.FAIL
        (project / "a.zip").write_bytes(b"no zip")
        assert drive_to(drive, artifact="a.zip").plan().action is Action.FAIL

    def test_a_truncated_archive_is_refused(self, drive, project, home):
        path = make_tar(project / "a.tar.gz", entry("x", os.urandom(100_000)))
        path.write_bytes(path.read_bytes()[:50_000])
        assert drive_to(drive, artifact="a.tar.gz").plan().action is Action.FAIL


@pytest.fixture
def site(project):
    """The project's directory as a web site."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    project.mkdir(exist_ok=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(project)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


class TestUrls:
    @pytest.fixture
    def fetch(self, drive, site, project):
        def make(name="a.tar.gz", **params):
            digest = sha256(project / name)
            return drive_to(drive, **{"artifact": f"{site}/{name}", "sha256": digest, **params})

        return make

    @pytest.mark.parametrize("without", [(), ("curl",)], ids=["curl", "wget"])
    def test_the_target_fetches_and_reverts(self, fetch, project, home, without, hide):
        make_tar(project / "a.tar.gz", *HARMLESS, entry("suid", b"", mode=0o4755))
        hide(*without)
        task = fetch()
        preview = task.plan()
        outputs = task.execute(preview)
        assert (home / "srv/game/current/to/up").read_text() == "1"
        assert (home / "srv/game/current/suid").stat().st_mode & 0o7777 == 0o755
        assert task.plan().outputs == outputs
        task.revert(preview, outputs)
        assert live(home) is None

    def test_another_checksum_is_refused(self, fetch, project, home):
        make_tar(project / "a.tar.gz", entry("x", b""))
        task = fetch(sha256="0" * 64)
        preview = task.plan()
        with pytest.raises(TaskFailed, match="has the SHA-256"):
            task.execute(preview)
        task.revert(preview)
        assert not (home / "srv/game").exists()

    def test_a_url_that_is_not_there_is_named(self, fetch, project, site):
        make_tar(project / "a.tar.gz", entry("x", b""))
        with pytest.raises(TaskFailed, match=rf"cannot fetch {site}/none\.tar"):
            fetch(artifact=f"{site}/none.tar").apply()

    @pytest.mark.parametrize("without", [(), ("curl",)], ids=["curl", "wget"])
    def test_a_site_that_does_not_go_on_answering_is_given_up(self, fetch, project, without, hide, monkeypatch):
        monkeypatch.setattr(_release, "_STALL", 1)
        make_tar(project / "a.tar.gz", entry("x", b""))
        hide(*without)
        with socket.create_server(("127.0.0.1", 0)) as mute:
            url = f"http://127.0.0.1:{mute.getsockname()[1]}/a.tar.gz"
            with pytest.raises(TaskFailed, match=f"cannot fetch {url}"):
                fetch(artifact=url).apply()

    @pytest.mark.parametrize("name", MALICIOUS)
    @pytest.mark.parametrize("awk", ["gawk", "mawk"])
    def test_malicious_archives_are_refused_before_they_are_unpacked(self, fetch, project, home, name, awk, tools):
        (tools / "awk").symlink_to(f"/usr/bin/{awk}")
        make_tar(project / "a.tar.gz", *MALICIOUS[name])
        with pytest.raises(TaskFailed, match="is not safe to unpack"):
            fetch(max_size="2MB").apply()
        assert not list((home / "srv/game/releases").glob(".*.tmp/*"))
        assert live(home) is None

    @pytest.mark.parametrize("awk", ["gawk", "mawk"])
    def test_harmless_ones_are_taken_by_every_awk(self, fetch, project, home, awk, tools):
        (tools / "awk").symlink_to(f"/usr/bin/{awk}")
        make_tar(project / "a.tar.gz", *HARMLESS)
        fetch().apply()
        assert live(home)

    def test_hard_links_are_refused(self, fetch, project):
        make_tar(project / "a.tar.gz", entry("x", b""), entry("y", type=tarfile.LNKTYPE, linkname="x"))
        with pytest.raises(TaskFailed, match="not a file, directory or link"):
            fetch().apply()


class TestParameters:
    @pytest.mark.parametrize(
        ("params", "message"),
        [
            ({"artifact": "https://a.example/x.tar"}, "needs `sha256`"),
            ({"artifact": "https://a.example/x.zip", "sha256": "0" * 64}, "tar archives only"),
            ({"release": "../x"}, "pattern"),
            ({"shared": ["../x"]}, "pattern"),
            ({"link": "shared"}, "cannot be 'shared'"),
            ({"keep": 0}, "greater than or equal to 1"),
            ({"phase": "begin"}, "'both', 'stage' or 'switch'"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, params, message):
        with pytest.raises(ValidationError, match=message):
            deploy_app.params().model_validate({"artifact": "a.tar", "path": "p", **params}, context={"directory": "/"})

    def test_a_local_artifact_begins_in_the_project(self):
        params = deploy_app.params().model_validate({"artifact": "a.tar", "path": "p"}, context={"directory": "/proj"})
        assert params.artifact == "/proj/a.tar"

    def test_every_parameter_is_described(self):
        properties = deploy_app.params().model_json_schema()["properties"]
        assert all(field.get("description") for field in properties.values())
