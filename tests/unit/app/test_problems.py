"""One part's mistakes do not hide another's."""

import pytest

from opsflow.app import Request, settings, validate
from opsflow.errors import InputError


def test_mistakes_of_every_stage_are_told_together(tmp_path):
    (tmp_path / "playbooks").mkdir()
    (tmp_path / "playbooks" / "x.toml").write_text(
        '[[step]]\nid = "a"\ntask = "comand"\nhosts = "web"\nspeed = 1\n'
        '[[step]]\nid = "b"\ntask = "command"\nhosts = "nope"\nneeds = ["zz"]\nwith = { runn = "x" }\n'
    )
    request = Request(playbook=tmp_path / "playbooks" / "x.toml", inventory="web,", extra=("k:=[",))
    try:
        validate(request, settings(tmp_path))
    except InputError as error:
        told = {(p.position.line if p.position else 0): p.message for p in error.problems}
    assert set(told) == {0, 3, 5, 9, 10, 11}
    assert "comand" in told[3]
    assert "speed" in told[5]
    assert "nope" in told[9]
    assert "zz" in told[10]
    assert "runn" in told[11]


def test_an_include_whose_id_has_a_slash_is_told(tmp_path):
    (tmp_path / "part.toml").write_text('[[step]]\nid = "a"\ntask = "command"\nhosts = "web"\nwith = { run = "x" }\n')
    (tmp_path / "x.toml").write_text('[[step]]\nid = "a/b"\ninclude = "part.toml"\n')
    with pytest.raises(InputError) as caught:
        validate(Request(playbook=tmp_path / "x.toml", inventory="web,"), settings(tmp_path))
    assert [p.message for p in caught.value.problems] == ["`a/b` cannot be a step's id"]
