import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opsflow import TaskFailed
from opsflow.plugins.values import LIMIT, as_json

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.text(), JSON, max_size=4))
def test_json_comes_back_as_it_is(value):
    assert as_json(value, "outputs") == value


def test_the_result_is_a_copy():
    inner = [1]
    made = as_json({"a": [1, inner]}, "outputs")
    inner.append(2)
    assert made == {"a": [1, [1]]}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"a": float("nan")}, r"^outputs\.a is nan"),
        ({"a": [1, {"b": float("-inf")}]}, r"^outputs\.a\[1\]\.b is -inf"),
        ({"a": b"x"}, r"^outputs\.a is a bytes"),
        ({"a": {1: 2}}, r"^outputs\.a has the key 1, which is not text"),
        ({"a": {1, 2}}, r"^outputs\.a is a set"),
        ({"a": [(1, 2)]}, r"^outputs\.a\[0\] is a tuple, which would be read back as a list"),
        ({"\udcff": 1}, r"^outputs has the key '.*', which is not text"),
        ({"a": "\udcff"}, r"^outputs\.a is not valid Unicode text"),
    ],
)
def test_what_is_not_json_is_named_by_its_path(value, message):
    with pytest.raises(TaskFailed, match=message):
        as_json(value, "outputs")


def test_the_limit_names_the_largest_key():
    with pytest.raises(TaskFailed, match=rf"the largest is `log`; the limit is {LIMIT}") as caught:
        as_json({"small": 1, "log": "x" * LIMIT}, "outputs")
    assert "file on the target" in caught.value.hint


def test_as_much_as_the_limit_is_fine():
    value = {"log": "x" * (LIMIT - 11)}
    assert len(json.dumps(value)) == LIMIT
    assert as_json(value, "outputs") == value
