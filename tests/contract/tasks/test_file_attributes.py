"""What belongs to a file beside mode and owner, on a real file system: ACLs, extended attributes, labels."""

import os
import shutil
import subprocess

import pytest

from opsflow_tasks import copy, template

LABEL = b"system_u:object_r:etc_t:s0\0"


def told(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def acl(path):
    """All entries but the mask and what the mode says."""
    lines = told("getfacl", "-cpE", path).split()
    return [line for line in lines if not line.startswith(("user::", "mask::", "other::"))]


def attributes(path):
    return {name: os.getxattr(path, name) for name in os.listxattr(path) if not name.startswith("system.")}


@pytest.fixture
def conf(home):
    """A file with an ACL and attributes, in a directory that gives another ACL to what is new in it."""
    if not (shutil.which("setfacl") and shutil.which("setfattr")):
        pytest.skip("setfacl or setfattr is not installed (Debian: apt-get install acl attr)")
    (home / "etc").mkdir()
    path = home / "etc/a 'game' -.conf"
    path.write_text("old\n")
    path.chmod(0o640)
    told("setfacl", "-m", "u:daemon:rw,g:bin:r,g::-", path)
    told("setfacl", "-d", "-m", "u:games:rwx", path.parent)
    os.setxattr(path, "user.origin", b"two\nlines = \xff")
    return path


def mode(path):
    return f"{path.stat().st_mode & 0o7777:04o}"


@pytest.mark.parametrize(("given", "becomes"), [({}, "0660"), ({"mode": "0600"}, "0600"), ({"mode": "0644"}, "0644")])
def test_what_takes_its_place_gets_them_within_its_own_mode(drive, conf, given, becomes):
    entries, others = acl(conf), attributes(conf)
    task = drive(copy, content="new\n", dest=str(conf), **given)
    preview = task.plan()
    assert "lost" not in preview.diff
    task.execute(preview)
    assert (conf.read_text(), mode(conf), acl(conf), attributes(conf)) == ("new\n", becomes, entries, others)
    task.revert(preview, {})
    assert (conf.read_text(), mode(conf), acl(conf), attributes(conf)) == ("old\n", "0660", entries, others)


def test_a_template_keeps_them_too(drive, conf):
    entries, others = acl(conf), attributes(conf)
    task = drive(template, src="game.conf.j2", dest=str(conf))
    (task.directory / "game.conf.j2").write_text("for {{ host }}\n")
    task.apply()
    assert (acl(conf), attributes(conf)) == (entries, others)
    assert conf.read_text().startswith("for ")


def test_a_file_without_an_acl_does_not_get_that_of_its_directory_when_it_changes(drive, conf):
    told("setfacl", "-b", conf)
    conf.chmod(0o640)
    drive(copy, content="new\n", dest=str(conf)).apply()
    assert (acl(conf), mode(conf)) == (["group::r--"], "0640")


def test_a_new_file_gets_what_its_directory_gives(drive, conf):
    drive(copy, content="new\n", dest=f"{conf}.d", mode="0640").apply()
    assert "user:games:rwx" in acl(f"{conf}.d")


def test_it_is_not_readable_for_others_before_its_mode_is_set(drive, conf, tools):
    """The old file may have been for everybody; the new one is not, at no moment."""
    conf.chmod(0o666)
    (tools / "chmod").write_text(
        f'#!/bin/sh\nfor file do :; done\ngetfacl -cp "$file" >"{tools}/seen"\nexec {shutil.which("chmod")} "$@"\n'
    )
    (tools / "chmod").chmod(0o755)
    drive(copy, content="new\n", dest=str(conf), mode="0600").apply()
    seen = (tools / "seen").read_text()
    assert "user:daemon:rw-" in seen
    assert "mask::---" in seen
    assert "other::---" in seen


@pytest.mark.skipif(os.geteuid() != 0, reason="only root sets a label where the kernel has no SELinux")
def test_the_label_is_kept_and_capabilities_are_not_which_the_plan_says(drive, conf, tools):
    os.setxattr(conf, "security.selinux", LABEL)
    os.setxattr(conf, "security.capability", bytes.fromhex("0100000200040000000000000000000000000000"))
    ls = shutil.which("ls")  # without SELinux in the kernel some do not show a label that is there
    (tools / "ls").write_text(f'#!/bin/sh\ncase $1 in -dZ) echo a:b:c:s0 ;; *) exec {ls} "$@" ;; esac\n')
    (tools / "ls").chmod(0o755)
    task = drive(copy, content="new\n", dest=str(conf))
    preview = task.plan()
    assert "-its capabilities (see setcap)\n" in preview.diff
    task.execute(preview)
    assert os.getxattr(conf, "security.selinux") == LABEL
    assert "security.capability" not in attributes(conf)
    assert f"{conf} has lost its capabilities (see setcap)" in task.logged
    task.revert(preview, {})
    assert "security.capability" in attributes(conf)


def test_an_acl_that_a_host_cannot_set_is_said_to_be_lost(drive, conf, hide):
    hide("setfacl", "getfacl", "setfattr", "getfattr")
    task = drive(copy, content="new\n", dest=str(conf))
    preview = task.plan()
    assert "-its ACL (there is no setfacl)\n" in preview.diff
    task.execute(preview)
    assert task.logged[-1] == f"{conf} has lost its ACL (there is no setfacl)"
    assert drive(copy, content="new\n", dest=str(conf), mode="0640").plan().diff.count("lost") == 0
