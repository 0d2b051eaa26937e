"""What a command prints and is given arrives byte by byte, whichever way it takes."""

import pytest

from opsflow.transport import following
from opsflow.transport.following import call_of
from opsflow.transport.process import Capture

EVERY = bytes(range(256))


@pytest.fixture
def transport(ground):
    transport = ground.transport()
    transport.claim(ground.run, 1)
    yield transport
    transport.close()


def printed(ground, transport, content, number, to=""):
    (ground.home / "content").write_bytes(content)
    out, err = Capture("stdout", 1 << 24), Capture("stderr", 1 << 24)
    transport._target.call(call_of(ground.operation("a", number), f"cat content {to}", out, err))
    return err.data if to else out.data


@pytest.mark.parametrize("to", ["", ">&2"])
def test_output(ground, transport, to):
    contents = [
        EVERY,
        EVERY[1:],
        EVERY[:0:-1],
        b"\n",
        b"\n\n",
        b" leading\n\ttabs\t\n  ",
        b"no newline",
        b"-n -e \\c \\0101 %s",
        b"\0",
        b"a\0",
        "Grüße, 世界\n".encode(),
        b"x" * 1023 + b"\n",
        b"x" * 1024,
        b"x" * 1025,
        b"l\n" * 512,
        EVERY * 300,
    ]
    for number, content in enumerate(contents, 1):
        assert printed(ground, transport, content, number, to) == content


@pytest.mark.parametrize("size", [10, 8_000, 9_000, 200_000, 2_000_000])
def test_scripts_of_any_size(ground, transport, size):
    text = "set -e\n" + "# \\n '\"$x` \\\\ é\n" * (size // 16) + "cat; printf '%s' 'a\\b\n  c' >&2; exit 3"
    result = transport.run(text, input=b"given", env={"A": "x y\n'z'"}, op=ground.operation("a", 1))
    assert (result.exit_status, result.stdout, result.stderr) == (3, "given", "a\\b\n  c")
    wanted = "x y\n'z'"
    assert transport.run('printf %s "$A"', env={"A": wanted}, op=ground.operation("a", 2)).stdout == wanted


@pytest.mark.parametrize("size", [0, 1, 4096, 8192, 8193, 100_000])
def test_input(ground, transport, size):
    content = (EVERY * (size // 256 + 1))[:size]
    assert transport.run("cat >got", input=content, op=ground.operation("a", 1)).ok
    assert (ground.home / "got").read_bytes() == content


TEXTS = {
    "a line": b"some input\n",
    "an empty line": b"\n",
    "empty lines": b"\n\n\n",
    "every byte but NUL": EVERY[1:] + b"\n",
    "every byte twice": bytes(b for b in EVERY[1:] for _ in "12") + b"\n",
    "what a shell would expand": b"  $A ${A} `id` $(id) \\ \\\\ \\\n\\$A \"'\n.\n .\nS 1 . .\n\t\n",
    "letters": "Grüße, 世界 .\n".encode() * 20,
    "as much as a pipe takes at once": b"x" * 4095 + b"\n",
    "more": b"x" * 4096 + b"\n",
    "no end of line": b"a\nb",
}


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_input_that_is_text(ground, transport, monkeypatch, locale):
    """With a short script and with one that comes through a pipe itself."""
    transport.close()
    monkeypatch.setenv("LC_ALL", locale)
    for attempt, long in (("a", ""), ("b", " #" + "x" * 9_000)):
        for number, content in enumerate(TEXTS.values(), 1):
            assert transport.run(f"cat >got{long}", input=content, op=ground.operation(attempt, number)).ok
            assert (ground.home / "got").read_bytes() == content


@pytest.mark.parametrize("old", [False, True])
def test_input_comes_through_a_pipe_and_never_by_a_file(ground, transport, monkeypatch, old):
    """Some shells write here-documents to temporary files: bash before 5.1 too, whose ways it has with BASH_COMPAT."""
    transport.close()
    if old:
        monkeypatch.setenv("BASH_COMPAT", "50")
    for number, content in enumerate(TEXTS.values(), 1):
        command = "if [ -p /proc/self/fd/0 ]; then cat; fi"
        said = transport.run(command, input=content, op=ground.operation("a", number)).stdout
        assert said == content.decode("utf-8", "replace")


def test_streams_can_be_appended_to_by_their_names(ground, transport):
    command = "echo a; echo b | tee -a /dev/stderr; echo c >>/dev/stdout; echo d >&2; echo e >>/dev/stderr; exit 3"
    result = transport.run(command, op=ground.operation("a", 1))
    assert (result.exit_status, result.stdout, result.stderr) == (3, "a\nb\nc\n", "b\nd\ne\n")


@pytest.mark.parametrize("anew", ["echo anew >/dev/stdout", "echo anew | tee /dev/stderr 2>&1 >/dev/null"])
def test_a_stream_that_is_opened_anew_neither_holds_up_nor_changes_the_end(ground, transport, monkeypatch, anew):
    """Whether it is followed, so that more of it was read than there is then, or not."""
    with monkeypatch.context() as patient:
        patient.setattr(following, "POLL", (60.0, 60.0))
        result = transport.run(f"seq 20000; {anew}; exit 3", op=ground.operation("a", 1))
    assert (result.exit_status, result.stdout) == (3, "anew\n")
    waits = "until [ -e seen ]; do sleep 0.05; done"
    seen = []

    def sink(stream, data):
        seen.append(data)
        if "20000\n" in "".join(seen)[-10:]:
            (ground.home / "seen").touch()

    result = transport.run(f"seq 20000; {waits}; {anew}; exit 4", sink=sink, op=ground.operation("a", 2))
    assert result.exit_status == 4
    assert result.stdout == "".join(f"{n}\n" for n in range(1, 20001))
    assert transport.run("echo next", op=ground.operation("a", 3)).stdout == "next\n"


def test_nothing_of_how_it_was_started_is_left_in_a_command(ground, transport):
    """Its arguments are empty, the text is not in its environment, and no descriptor is open that it may use itself."""
    for number, long in ((1, ""), (2, "#" * 9_000)):
        text = f"{long}\nenv | grep -c _opsflow; echo $#; ls /proc/self/fd | tr '\\n' ' '"
        result = transport.run(text, op=ground.operation("a", number)).stdout.split()
        assert result[:2] == ["0", "0"]
        assert not set(result[2:]) & set("456789")  # 3 is the directory, which ls has open itself


def test_what_the_supervising_shell_says_of_an_end_is_no_output(ground, transport):
    result = transport.run("kill -9 $$", op=ground.operation("a", 1))
    assert (result.exit_status, result.stdout, result.stderr) == (137, "", "")
