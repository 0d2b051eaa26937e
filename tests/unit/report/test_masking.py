import json
import shlex
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from opsflow.report.masking import MASK, Masker


def masker_of(*secrets):
    masker = Masker()
    for secret in secrets:
        masker.add(secret)
    return masker


def streamed(masker, pieces):
    seen = []
    stream = masker.stream(seen.append)
    for piece in pieces:
        stream.feed(piece)
    stream.close()
    return "".join(seen)


def test_a_secret_is_hidden_wherever_it_stands():
    masker = masker_of("hunter2")
    assert masker.text("xhunter2x hunter2") == "x***x ***"
    assert masker.reveals("xhunter2x")
    assert not masker.reveals("hunter")


@pytest.mark.parametrize("secret", ["it's", 'say "so"', "back\\slash", "tab\there", "pass&word/1", "größe"])
def test_forms_in_which_it_is_written_are_hidden_too(secret):
    masker = masker_of(secret)
    for form in (secret, shlex.quote(secret), json.dumps(secret), quote(secret, safe="")):
        assert masker.text(f"<{form}>").strip('<>"') == MASK


def test_each_line_of_a_secret_is_hidden():
    masker = masker_of("first line\n\nsecond line\n")
    assert masker.text("> second line\n> first line\n> \n") == "> ***\n> ***\n> \n"


def test_surrounding_blanks_are_not_needed_to_recognise_it():
    assert masker_of("  hunter2 ").text("[hunter2]") == "[***]"


def test_a_short_secret_is_hidden_only_where_it_stands_alone():
    assert masker_of("1").text("1 of 10, x=1") == "*** of 10, x=***"


def test_without_secrets_everything_passes():
    masker = Masker()
    masker.add("")
    masker.add(" \n")
    assert masker.text("a b") == "a b"
    assert masker.data({"a": [1]}) == {"a": [1]}
    assert streamed(masker, ["a ", "b"]) == "a b"


def test_data_is_masked_in_keys_values_and_numbers():
    masker = masker_of("hunter2", "123456")
    value = {"hunter2": ["a hunter2", {"n": 123456, "m": 1234567, "t": True, "z": None}], "pair": ("hunter2",)}
    assert masker.data(value) == {
        "***": ["a ***", {"n": "***", "m": 1234567, "t": True, "z": None}],
        "pair": ["***"],
    }


def test_a_secret_that_begins_like_another_leaves_no_tail():
    masker = masker_of("pass", "password123")
    assert streamed(masker, ["the pass", "word123 is"]) == "the *** is"


def test_a_stream_holds_back_no_more_than_it_must():
    seen = []
    stream = masker_of("hunter2").stream(seen.append)
    stream.feed("x" * 100)
    assert len("".join(seen)) >= 100 - len("hunter2")


def test_a_secret_learned_while_a_stream_is_open_is_hidden_from_then_on():
    masker = Masker()
    seen = []
    stream = masker.stream(seen.append)
    stream.feed("before ")
    masker.add("hunter2")
    stream.feed("hun")
    stream.feed("ter2")
    stream.close()
    assert "".join(seen) == "before ***"


ALPHABET = "ab1 *'\n"


@given(
    st.lists(st.text(ALPHABET, min_size=1, max_size=6), min_size=1, max_size=4),
    st.lists(st.text(ALPHABET, max_size=5), max_size=12),
)
@example(["ab", "abab"], ["a", "b", "a", "b"])
@example(["1"], ["a", "1", " ", "1", "1"])
def test_no_chunking_shows_what_masking_the_whole_would_hide(secrets, pieces):
    masker = masker_of(*secrets)
    assert streamed(masker, pieces) == masker.text("".join(pieces))


@given(st.text("abcdefgh", min_size=4, max_size=8), st.text("xyz \n", max_size=20), st.data())
def test_any_chunking_hides_the_secret(secret, around, data):
    text = f"{around}{secret}{around}"
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
    assert secret not in streamed(masker_of(secret), pieces)
