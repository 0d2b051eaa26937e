"""The last lines of a file: exact, of whatever size and kind it is, and read from its end."""

import io
import os
import shlex
import shutil
import subprocess
import time

import pytest

from opsflow.errors import TransferFailed
from opsflow.transport.local import LocalTransport
from opsflow.transport.scripts import TAIL, last_lines

BLOCK = 64 * 1024


@pytest.fixture
def local(tmp_path):
    transport = LocalTransport(tmp_path)
    yield transport
    transport.close()


@pytest.fixture(params=["system", "busybox"])
def tail(request):
    """Runs the script with the tools of the system, or with those of busybox alone."""
    if request.param == "busybox" and not shutil.which("busybox"):
        reason = "busybox is not installed"
        pytest.skip(reason)

    def run(path, lines):
        script = f"set -- {shlex.quote(str(path))} {lines}\n{TAIL}"
        command = ["sh"]
        if request.param == "busybox":
            script = 'dd() { busybox dd "$@"; }; tail() { busybox tail "$@"; }; wc() { busybox wc "$@"; }\n' + script
            script = 'ls() { busybox ls "$@"; }; head() { busybox head "$@"; }\n' + script
            command = ["busybox", "sh"]
        done = subprocess.run(command, input=script.encode(), capture_output=True, check=True)
        assert done.stderr == b""
        return last_lines(done.stdout.decode("utf-8", "replace"), lines)

    return run


def expected(content, lines):
    return last_lines(content.decode("utf-8", "replace"), lines)


@pytest.mark.parametrize(
    "content",
    [
        b"", b"\n", b"one", b"one\n", b"one\ntwo", b"\n\n\n", b"x" * BLOCK, b"x" * (BLOCK - 1) + b"\n",
        b"\n" + b"x" * BLOCK, b"x\n" * BLOCK, b"a\n" + b"x" * (3 * BLOCK) + b"\nlast", b"\0\xff\x80\n\x1b[31m\r\nz\0",
        b"".join(b"%d\n" % n for n in range(200_000)), b"".join(b"%0300d\n" % n for n in range(1000)),
    ],
)  # fmt: skip
@pytest.mark.parametrize("lines", [0, 1, 2, 3, 20, 1000])
def test_lines_are_exact_wherever_blocks_begin(tail, tmp_path, content, lines):
    path = tmp_path / "a log"
    path.write_bytes(content)
    assert tail(path, lines) == expected(content, lines)


def test_of_lines_longer_than_a_mebibyte_the_end_is_given(local, tmp_path):
    path = tmp_path / "log"
    path.write_bytes(b"first\n" + b"x" * (4 << 20) + b"end\nlast\n")
    before, last = local.tail(str(path), 2)
    assert last == "last"
    assert before.endswith("xend")
    assert (1 << 20) - BLOCK - 10 <= len(before) <= 1 << 20


def test_ten_gigabytes_cost_what_a_small_file_costs(tail, tmp_path):
    """A file with a hole: who reads it from its beginning reads for a long time."""
    path = tmp_path / "log"
    with path.open("wb") as stream:
        stream.truncate(10 << 30)
        stream.seek(0, os.SEEK_END)
        stream.write(b"\none\ntwo\n")
    began = time.monotonic()
    assert tail(path, 2) == ["one", "two"]
    assert time.monotonic() - began < 5


def test_every_transport_has_it(transport):
    transport.put(io.BytesIO(b"a\nb\nc"), "tailed")
    assert transport.tail("tailed", 2) == ["b", "c"]
    assert transport.tail("not there", 2) == []


def test_no_file_is_no_lines_and_what_is_none_is_named(local, tmp_path):
    assert local.tail(str(tmp_path / "none"), 5) == []
    (tmp_path / "dangling").symlink_to("nowhere")
    assert local.tail(str(tmp_path / "dangling"), 5) == []
    with pytest.raises(TransferFailed, match="is a directory"):
        local.tail(str(tmp_path), 5)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(TransferFailed, match="not a regular file"):
        local.tail(str(tmp_path / "fifo"), 5)


def test_links_odd_names_and_files_that_do_not_tell_their_size(local, tmp_path):
    path = tmp_path / "a '*' \n-n log"
    path.write_bytes(b"one\ntwo\n")
    (tmp_path / "link").symlink_to(path)
    assert local.tail(str(path), 1) == ["two"]
    assert local.tail(str(tmp_path / "link"), 9) == ["one", "two"]
    assert local.tail("/proc/self/status", 1)[0].startswith("nonvoluntary_ctxt_switches")
