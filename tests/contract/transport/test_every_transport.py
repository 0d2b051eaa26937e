"""What holds on all transports, the fake included."""

import hashlib
import io

import pytest

from opsflow.errors import TransferFailed


def test_a_command_says_what_it_printed_and_how_it_ended(transport):
    result = transport.run("echo hello")
    assert (result.exit_status, result.stdout, result.stderr) == (0, "hello\n", "")
    assert result.ok
    assert not result.truncated
    assert not result.timed_out


def test_a_failing_command_is_a_result_and_no_exception(transport):
    assert transport.run("exit 3").exit_status == 3


def test_an_unknown_command_ends_with_127(transport):
    assert transport.run("there-is-no-such-command").exit_status == 127


def test_input_arrives_from_bytes_and_from_streams(transport):
    assert transport.run("cat", input=b"given").stdout == "given"
    assert transport.run("cat", input=io.BytesIO(b"streamed")).stdout == "streamed"


def test_output_goes_to_the_sink_by_stream(transport):
    heard = []
    transport.run("echo hello", sink=lambda stream, text: heard.append((stream, text)))
    assert heard == [("stdout", "hello\n")]


def test_a_nul_in_a_command_is_refused(transport):
    with pytest.raises(ValueError, match="NUL"):
        transport.run("echo a\0b")


def test_what_was_put_can_be_got(transport):
    content = bytes(range(256)) * 1000
    assert transport.put(io.BytesIO(content), "every-transport.bin") == hashlib.sha256(content).hexdigest()
    assert transport.get("every-transport.bin") == content


def test_a_missing_file_cannot_be_got(transport):
    with pytest.raises(TransferFailed, match=r"missing-file.*No such file"):
        transport.get("missing-file")


def test_a_machine_has_an_identity_that_stays(transport):
    assert len(transport.identity().split()) == 3
    assert transport.identity() == transport.identity()


def test_closing_twice_is_harmless(transport):
    transport.run("echo hello")
    transport.close()
    transport.close()
