"""Files on real hosts."""

import hashlib
import io
import os
import subprocess

import pytest

from opsflow.errors import TransferFailed


class Pipe(io.RawIOBase):
    """A source that cannot be rewound."""

    def __init__(self, content):
        self._content = io.BytesIO(content)

    def readable(self):
        return True

    def read(self, size=-1):
        return self._content.read(size)


def leftovers(directory):
    return [name for name in os.listdir(directory) if name.startswith(".opsflow-")]


@pytest.mark.parametrize("name", ["file", "-n", "with space", "quote'd", "new\nline", "dollar$HOME", "ä", "back\\n"])
def test_a_file_may_have_any_name(shell, name):
    shell.transport.put(io.BytesIO(b"content"), name)
    assert (shell.home / name).read_bytes() == b"content"
    assert shell.transport.get(name) == b"content"


@pytest.mark.parametrize("size", [0, 1, 65536, 9_000_001])
def test_a_stream_that_cannot_be_rewound_is_sent_whole(shell, size):
    content = os.urandom(size)
    assert shell.transport.put(Pipe(content), "streamed") == hashlib.sha256(content).hexdigest()
    assert (shell.home / "streamed").read_bytes() == content


def test_only_what_is_left_of_a_stream_is_sent(shell):
    source = io.BytesIO(b"header body")
    source.seek(7)
    shell.transport.put(source, "rest")
    assert (shell.home / "rest").read_bytes() == b"body"


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o755, 0o400])
def test_the_mode_is_set(shell, mode):
    shell.transport.put(io.BytesIO(b"x"), "moded", mode=mode)
    assert (shell.home / "moded").stat().st_mode & 0o7777 == mode


def test_a_file_is_private_unless_said(shell):
    shell.transport.put(io.BytesIO(b"x"), "private")
    assert (shell.home / "private").stat().st_mode & 0o7777 == 0o600


def test_a_file_is_replaced_and_not_written_into(shell):
    target = shell.home / "replaced"
    target.write_bytes(b"old")
    with target.open("rb") as reader:
        shell.transport.put(io.BytesIO(b"new"), "replaced")
        assert reader.read() == b"old"
    assert target.read_bytes() == b"new"
    assert leftovers(shell.home) == []


def test_absolute_paths_and_directories_work(shell, tmp_path):
    shell.transport.put(io.BytesIO(b"x"), str(tmp_path / "absolute"))
    assert (tmp_path / "absolute").read_bytes() == b"x"
    (shell.home / "below").mkdir(exist_ok=True)
    shell.transport.put(io.BytesIO(b"x"), "below/file")
    assert (shell.home / "below" / "file").read_bytes() == b"x"
    assert leftovers(shell.home / "below") == []


def test_a_directory_is_not_written_over(shell):
    (shell.home / "directory").mkdir(exist_ok=True)
    with pytest.raises(TransferFailed, match="directory: is a directory"):
        shell.transport.put(io.BytesIO(b"x"), "directory")
    assert list((shell.home / "directory").iterdir()) == []


@pytest.mark.parametrize("path", ["no-such-directory/file", "/proc/no-such-directory/file"])
@pytest.mark.parametrize("size", [1, 300_000])
def test_a_directory_that_is_not_there_is_told(shell, path, size):
    with pytest.raises(
        TransferFailed, match=r"cannot write .*file on .*no-such-directory: there is no such directory$"
    ):
        shell.transport.put(io.BytesIO(b"x" * size), path)


@pytest.mark.parametrize("size", [1, 300_000])
def test_a_symbolic_link_is_replaced_and_not_followed(shell, size):
    (shell.home / "elsewhere").write_bytes(b"old")
    for name, target in (("link", "elsewhere"), ("dangling", "nowhere")):
        (shell.home / name).unlink(missing_ok=True)
        (shell.home / name).symlink_to(target)
        shell.transport.put(io.BytesIO(b"x" * size), name)
        assert not (shell.home / name).is_symlink()
        assert (shell.home / name).read_bytes() == b"x" * size
    assert (shell.home / "elsewhere").read_bytes() == b"old"
    assert not (shell.home / "nowhere").exists()


def test_a_link_to_a_directory_is_not_followed_either(shell):
    (shell.home / "directory").mkdir(exist_ok=True)
    (shell.home / "way").unlink(missing_ok=True)
    (shell.home / "way").symlink_to("directory")
    with pytest.raises(TransferFailed, match="way: is a directory"):
        shell.transport.put(io.BytesIO(b"x"), "way")
    assert (shell.home / "way").is_symlink()
    assert list((shell.home / "directory").iterdir()) == []
    assert leftovers(shell.home) == []


def test_a_file_belongs_to_who_the_commands_run_as(shell):
    shell.transport.put(io.BytesIO(b"x"), "owned")
    assert (shell.home / "owned").stat().st_uid == int(shell.transport.run("id -u").stdout)


def test_a_directory_without_permission_is_told(shell):
    locked = shell.home / "locked"
    locked.mkdir(exist_ok=True)
    locked.chmod(0o555)
    if os.geteuid() == 0:  # who may write nearly everywhere
        locked = "/proc"
    with pytest.raises(TransferFailed, match=r"Permission denied|Read-only file system|[Nn]o such|nonexistent"):
        shell.transport.put(io.BytesIO(b"x"), f"{locked}/file")


@pytest.fixture
def small_disk(tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"no small disk can be made: {mounted.stderr.strip()}")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_full_disk_leaves_the_old_file(shell, small_disk):
    (small_disk / "file").write_bytes(b"old")
    with pytest.raises(TransferFailed, match=r"(?i)no space left"):
        shell.transport.put(io.BytesIO(b"x" * 1_000_000), str(small_disk / "file"))
    assert (small_disk / "file").read_bytes() == b"old"
    assert leftovers(small_disk) == []


def test_a_source_that_changes_while_it_is_sent_is_not_taken(shell):
    class Changing(io.BytesIO):
        passes = 0

        def seek(self, *args):
            self.passes += 1
            if self.passes == 1:
                self.getbuffer()[0] = 0
            return super().seek(*args)

    (shell.home / "kept").write_bytes(b"old")
    with pytest.raises(TransferFailed, match="not what was sent"):
        shell.transport.put(Changing(b"content"), "kept")
    assert (shell.home / "kept").read_bytes() == b"old"
    assert leftovers(shell.home) == []


def test_a_file_too_large_to_get_is_refused(shell):
    with (shell.home / "large").open("wb") as large:
        large.truncate(64 * 1024 * 1024 + 1)
    with pytest.raises(TransferFailed, match="larger than"):
        shell.transport.get("large")
    (shell.home / "large").unlink()


def test_a_directory_cannot_be_got(shell):
    with pytest.raises(TransferFailed, match=r"(?i)is a directory"):
        shell.transport.get("/")
