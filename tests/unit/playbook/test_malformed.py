"""Every malformed playbook is refused with the place and a sentence that names the fault."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opsflow.errors import InputError
from opsflow.playbook import load

ROLLOUT = '[rollout]\nby = "shard"\nbatches = [1, "25%"]\n'
STEP = '[[step]]\nid = "a"\ntask = "command"\nhosts = "all"\n'

MALFORMED = [
    # text, line, column, part of the message, part of the hint
    ("", 1, 1, "`step` is missing", "add a [[step]]"),
    ("name = \n" + STEP, 1, 8, "not valid TOML: invalid value", "text needs quotes"),
    ("name = x\n" + STEP, 1, 8, "not valid TOML", "text needs quotes"),
    ('name = "x\n' + STEP, 1, 10, "not valid TOML: illegal character", ""),
    ('name = "x', 1, 10, "not valid TOML: unterminated string", "quote"),
    ("name\n" + STEP, 1, 5, "expected '='", "key = value"),
    ('name = "a"\nname = "b"\n', 2, 11, "cannot overwrite a value", "already, further up"),
    ("[vars]\n[vars]\n", 2, 6, "cannot declare `vars` twice", ""),
    ("!\n", 1, 1, "invalid statement", "[[table]]"),
    ("x = [1 2]\n", 1, 8, "unclosed array", "comma"),
    ("x = {a = 1 b = 2}\n", 1, 12, "unclosed inline table", "comma"),
    (STEP + "vars.x = " + "[" * 60 + "]" * 60, 5, 57, "nested too deeply", "50"),
    (STEP + "vars.x = 1979-05-27", 5, 6, "date or time", "quotes"),
    (STEP + "vars = {x = [nan]}", 5, 14, "`nan` is not a usable number", "finite"),
    ('nme = "x"\n' + STEP, 1, 1, "unknown key `nme`", "did you mean `name`?"),
    ("zzz = 1\n" + STEP, 1, 1, "unknown key `zzz`", "known are: name"),
    ("name = 3\n" + STEP, 1, 1, "`name` must be text", ""),
    ('flow = "lineer"\n' + STEP, 1, 1, "`flow` must be 'linear', 'graph' or 'unordered'", "did you mean `linear`?"),
    ('[[steps]]\nid = "a"\n' + STEP, 1, 3, "unknown key `steps`", "write [[step]]"),
    ('[step]\nid = "a"\n', 1, 2, "`step` must be a list", "write [[step]]"),
    ("step = []\n", 1, 1, "`step` must not be empty", ""),
    ("[with]\nx = 1\n" + STEP, 1, 2, "unknown key `with`", "write [step.with]"),
    ("[retry]\nattempts = 1\n" + STEP, 1, 2, "unknown key `retry`", "write [step.retry]"),
    ('hosts = "all"\n' + STEP, 1, 1, "unknown key `hosts`", "below the [[step]]"),
    ('[rollout]\nby = "host"\n' + STEP, 1, 2, "`batches` is missing", ""),
    ("[rollout]\nbatches = [1]\n" + STEP, 1, 2, "`by` is missing", ""),
    (ROLLOUT + "batch = 1\n" + STEP, 4, 1, "unknown key `batch`", "did you mean `batches`?"),
    (ROLLOUT + 'hosts = "all"\n' + STEP, 1, 2, "`hosts` goes with by", ""),
    ('[rollout]\nby = "host"\nbatches = [1]\n' + STEP, 1, 2, "say which, with `hosts = PATTERN`", ""),
    ('[rollout]\nby = "x"\nbatches = 1\n' + STEP, 3, 1, "`batches` must be a list of sizes", ""),
    ('[rollout]\nby = "x"\nbatches = []\n' + STEP, 3, 1, "`batches` must be a list of sizes", ""),
    ('[rollout]\nby = "x"\nbatches = [1, 0]\n' + STEP, 3, 1, "numbers of units from 1 on", ""),
    ('[rollout]\nby = "x"\nbatches = ["0%"]\n' + STEP, 3, 1, "percentages like", ""),
    ('[rollout]\nby = "x"\nbatches = ["101%"]\n' + STEP, 3, 1, "percentages like", ""),
    ('[rollout]\nby = "x"\nbatches = [true]\n' + STEP, 3, 1, "`batches` must be", ""),
    (ROLLOUT + "max_failures = -1\n" + STEP, 4, 1, "`max_failures` must be a number of units", ""),
    (ROLLOUT + 'max_failures = "some"\n' + STEP, 4, 1, "`max_failures` must be a number of units", ""),
    (ROLLOUT + 'pause = "aprove"\n' + STEP, 4, 1, "`pause` must be a time", ""),
    ('[vars]\nflow = "graph"\n' + STEP, 2, 1, "`flow` stands below [vars]", "move it above [vars]"),
    ("[vars]\nhost = 1\n" + STEP, 2, 1, "`host` cannot be a variable's name", ""),
    ("vars = 3\n" + STEP, 1, 1, "`vars` must be a table", ""),
    ('[defaults]\nflow = "graph"\n' + STEP, 2, 1, "unknown key `flow`", "move it above [defaults]"),
    ("[defaults]\nbecome = 0\n" + STEP, 2, 1, "`become` must be true (root), false or the name of a user", ""),
    (STEP + 'become = "{{ user }}"', 5, 1, "`become` must be true (root), false or the name of a user", ""),
    (STEP + 'become = "-s"', 5, 1, "`become` must be true (root), false or the name of a user", ""),
    ('[defaults]\nhosts = "all"\n' + STEP, 2, 1, "unknown key `hosts`", "known are: timeout"),
    ('[defaults]\ntimeout = "10"\n' + STEP, 2, 1, "`timeout` is not a duration", ""),
    ("[defaults.retry]\natempts = 2\n" + STEP, 2, 1, "unknown key `atempts`", "did you mean `attempts`?"),
    ('[inputs]\nflow = "graph"\n' + STEP, 2, 1, "`flow` must be a table", "move it above [inputs]"),
    ('[inputs]\nx = { typ = "string" }\n' + STEP, 2, 7, "unknown key `typ`", "did you mean `type`?"),
    ('[inputs]\nx = { type = "text" }\n' + STEP, 2, 7, "`type` must be 'string'", ""),
    ('[inputs]\nx = { type = ["list"], default = 1 }\n' + STEP, 2, 7, "`type` must be 'string'", ""),
    (
        '[inputs]\nx = { type = "integer", default = "1" }\n' + STEP,
        2,
        25,
        "default of input `x` is not of type integer",
        "",
    ),
    (
        "[inputs]\nx = { required = true, default = 'a' }\n" + STEP,
        2,
        24,
        "`x` is required: its default",
        "take one out",
    ),
    ("[inputs.steps]\n" + STEP, 1, 9, "`steps` cannot be a variable's name", ""),
    ('[[step]]\ntask = "command"\nhosts = "all"\n', 1, 1, "`id` is missing", ""),
    ('[[step]]\nid = "a"\nhosts = "all"\n', 1, 1, "`task` is missing", ""),
    ('[[step]]\nid = "a"\ntask = "command"\n', 1, 1, "`hosts` is missing", ""),
    (
        '[[step]]\nid = "a"\nhosts = "all"\n[step.with]\ntask = "x"\n',
        1,
        1,
        "`task` is missing",
        "stands below [step.with]",
    ),
    (STEP + STEP, 6, 1, "`a` is already the id of the step in line 2", ""),
    ('[[step]]\nid = "a/b"\ntask = "t"\nhosts = "h"\n', 2, 1, "`a/b` cannot be a step's id", "letters"),
    ('[[step]]\nid = "-a"\ntask = "t"\nhosts = "h"\n', 2, 1, "`-a` cannot be a step's id", ""),
    ('[[step]]\nid = ""\ntask = "t"\nhosts = "h"\n', 2, 1, "`id` must not be empty", ""),
    ('[[step]]\nid = "a\\n"\ntask = "t"\nhosts = "h"\n', 2, 1, "cannot be a step's id", ""),
    ('[[step]]\nid = 3\ntask = "t"\nhosts = "h"\n', 2, 1, "`id` must be text", ""),
    ('[[step]]\nid = "a"\ntask = ""\nhosts = "h"\n', 3, 1, "`task` must not be empty", ""),
    ('[[step]]\nid = "a"\ntask = "t"\nhosts = ["h"]\n', 4, 1, "`hosts` must be text", "one pattern"),
    (STEP + "needs = 'a'", 5, 1, "`needs` must be a list", ""),
    (STEP + "needs = ['a']", 5, 10, "step `a` needs itself", ""),
    (STEP + "needs = [\n  'ab',\n]", 6, 3, "there is no step `ab`", "did you mean `a`?"),
    (STEP + "needs = [{ step = 'b' }]", 5, 12, "there is no step `b`", ""),
    (STEP + "needs = [3]", 5, 10, "`needs[0]` must be a step's id or a table", ""),
    (STEP + "needs = [{ per = 'host' }]", 5, 10, "`step` is missing", ""),
    (STEP + "needs = [{ step = 'b', optinal = true }]", 5, 24, "unknown key `optinal`", "did you mean `optional`?"),
    (STEP + "timeout = '5 minutes'", 5, 1, "`timeout` is not a duration", ""),
    (STEP + "timeout = 0", 5, 1, "`timeout` must be greater than 0", ""),
    (STEP + "revert_timeout = '-3s'", 5, 1, "`revert_timeout` is not a duration", ""),
    (STEP + "retry = 3", 5, 1, "`retry` must be a table", ""),
    (STEP + "retry = { attempts = 0 }", 5, 11, "`attempts` must be greater than or equal to 1", ""),
    (STEP + "retry = { attempts = 2, vary = {} }", 5, 25, "`vary` must name a variable and its values", ""),
    (STEP + "retry = { vary = { m = 'a' } }", 5, 11, "`vary` must be lists, or templates that yield one: `m`", ""),
    (STEP + "retry = { vary = { m = [] } }", 5, 11, "`retry.vary.m` is an empty list", ""),
    (STEP + "retry = { vary = { m = [1], n = [1, 2] } }", 5, 11, "of one length: m has 1, n has 2", ""),
    (STEP + "retry = { vary = { host = ['a'] } }", 5, 20, "`host` cannot be a variable's name", ""),
    ("[defaults.retry.vary]\nnow = ['a']\n" + STEP, 2, 1, "`now` cannot be a variable's name", ""),
    (STEP + "retry.revert_between = true", 5, 1, "`retry` has `revert_between` and only one attempt", ""),
    (STEP + "[step.retry]\nattempts = 2\ntimeout = '3s'", 7, 1, "unknown key `timeout`", "move it above [step.retry]"),
    (STEP + "[step.vars]\nwhen = 'x'", 6, 1, "`when` stands below [step.vars]", "move it above [step.vars]"),
    (STEP + "[step.vars]\nnow = 1", 6, 1, "`now` cannot be a variable's name", ""),
    (STEP + "flow = 'graph'", 5, 1, "unknown key `flow`", "above the first [[step]]"),
    (STEP + "when = '{{ x }}'", 5, 1, "`when` is an expression already", ""),
    (STEP + "when = true", 5, 1, "`when` must be text", ""),
    (STEP + "run_once = 3", 5, 1, "`run_once` must be true, false or the name of a variable", ""),
    (STEP + "at_once = '3'", 5, 1, "`at_once` must be a whole number", ""),
    (STEP + "at_once = true", 5, 1, "`at_once` must be a whole number", ""),
    (STEP + "on_failure = 'rolback'", 5, 1, "`on_failure` must be", "did you mean `rollback`?"),
    (STEP + "on_unknown = 'skip'", 5, 1, "`on_unknown` must be 'ask', 'rerun' or 'revert'", ""),
    (STEP + "irreversible = true", 5, 1, "`irreversible` must be 'stop' or 'allow'", ""),
    (STEP + "tags = 'x'", 5, 1, "`tags` must be a list", ""),
    (STEP + "tags = ['x', 3]", 5, 14, "`tags[1]` must be text", ""),
    (STEP + "with = 'x'", 5, 1, "`with` must be a table", ""),
    (STEP + "params = {}", 5, 1, "unknown key `params`", ""),
    (STEP + "foreach = 3", 5, 1, "`foreach` must be a list, or a template that yields one", ""),
    (STEP + "foreach = 'a, b'", 5, 1, "`foreach` must be a list, or a template that yields one", ""),
    (STEP + "when = 'x'\nskip_depth = 'al'", 6, 1, "`skip_depth` must be 'node' or 'all'", "did you mean `all`?"),
    (STEP + "skip_depth = 'all'", 5, 1, "`skip_depth` says nothing without `when`", "add a `when`"),
    (STEP + "finally = 'yes'", 5, 1, "`finally` must be true or false", ""),
    *[
        (STEP + f"finally = true\n{key} = '{value}'", 6, 1, f"`{key}` does not go with `finally`", "take it out")
        for key, value in {
            "on_failure": "halt",
            "rollback_scope": "host",
            "irreversible": "allow",
            "on_unknown": "revert",
        }.items()
    ],
    (STEP + "\tfrobnicate = 1", 5, 2, "unknown key `frobnicate`", "known are: "),
    (
        STEP + "include = 'x.toml'",
        3,
        1,
        "`task` does not go with `include`",
        "with `include` go hosts, id, needs, notes, per",
    ),
    ('[[step]]\nid = "a"\ninclude = "x\\u0000"', 3, 1, "is no path", ""),
    ("[[step]]\nid = 'a'\nhosts = 'all'\ntask = [1]", 4, 1, "`task` must be text", ""),
    ('[[step]]\nid = "batch"\ninclude = "x"', 2, 1, "`batch` cannot be the id of what is included", "approvals"),
    ('[[step]]\nid = "a"\ninclude = 3', 3, 1, "`include` must be text", ""),
    ('[[step]]\nid = "a"\ninclude = "x.toml"', 3, 1, "x.toml: no such file", ""),
    (
        '[[step]]\nid = "a"\ninclude = "p.toml"',
        3,
        1,
        "playbooks include one another in a circle",
        "take one of these out",
    ),
]


@pytest.mark.parametrize(("text", "line", "column", "message", "hint"), MALFORMED)
def test_a_malformed_playbook_is_refused_with_the_place_of_its_fault(problems_of, text, line, column, message, hint):
    matching = [p for p in problems_of(text) if message in p.message]
    assert len(matching) == 1
    (problem,) = matching
    assert problem.position is not None
    assert (problem.position.line, problem.position.column) == (line, column)
    assert problem.position.file.endswith("p.toml")
    assert hint in problem.hint
    lines = text.split("\n")
    assert problem.line == (lines[line - 1].replace("\t", " ") if line <= len(lines) else "")


@pytest.mark.parametrize(
    ("value", "message"), [("[" * 1000, "nested too deeply"), ("9" * 5000, "a number in it is too long")]
)
def test_what_the_toml_parser_gives_up_on_is_refused_without_a_traceback(problems_of, value, message):
    (problem,) = problems_of(f"x = {value}")
    assert problem.message == message


def test_all_problems_are_told_at_once_in_file_order(problems_of):
    found = problems_of('nme = 1\n[[step]]\nid = "a"\nneeds = ["b"]\ntimeout = "x"\nhosts = 3\nvars.x = 1979-05-27\n')
    assert [(p.position.line, p.position.column) for p in found] == [(1, 1), (2, 1), (4, 10), (5, 1), (6, 1), (7, 6)]


def test_an_error_reads_as_file_line_column_message_line_caret_and_hint(write):
    path = write("\t nme = 'x'\n" + STEP)
    with pytest.raises(InputError) as caught:
        load(path)
    assert str(caught.value) == (f"{path}:1:3: unknown key `nme`\n      nme = 'x'\n      ^\n    did you mean `name`?")


def test_a_file_that_is_not_utf8_is_refused_at_the_first_wrong_byte(write):
    path = write("")
    path.write_bytes("name = 'ä'\r\n# é".encode() + b"\xff\n")
    with pytest.raises(InputError) as caught:
        load(path)
    (problem,) = caught.value.problems
    assert str(problem.position) == f"{path}:2:4"
    assert problem.message == "not UTF-8"


def test_a_missing_file_and_a_directory_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path / "nope.toml")
    with pytest.raises(InputError, match="directory"):
        load(tmp_path)


def test_a_variable_in_an_inline_table_may_be_named_like_a_key(load_text):
    playbook = load_text("vars = { name = 'x' }\n" + STEP + "vars = { when = 'y' }\n")
    assert playbook.vars == {"name": "x"}
    assert playbook.steps[0].vars == {"when": "y"}


def test_a_variable_may_be_named_like_a_key_that_is_there(load_text):
    assert load_text("name = 'n'\n[vars]\nname = 'x'\n" + STEP).vars == {"name": "x"}


TOKENS = st.sampled_from(
    ["[[step]]", "[step]", "[step.with]", "[vars]", "[inputs]", "[defaults]", "[inputs.a]", "[[step.needs]]", "[step.vars]"]
    + [f"{key} = {value}" for key in ("id", "task", "hosts", "needs", "timeout", "retry", "step", "vars", "type", "default")
       for value in ("'a'", "3", "[1]", "['a']", "{}", "{step = 'a'}", "[{step = []}]", "true", "nan", "1979-05-27", "[[]]")]
    + ["a.b = 1", "id.x = 1", "needs.x = 1", "vars.host = 2", "'' = 1", '"\\u0000" = 1']
)  # fmt: skip


@given(st.lists(TOKENS, max_size=12))
@settings(max_examples=300, deadline=None)
def test_whatever_stands_in_the_file_the_answer_is_a_playbook_or_positioned_problems(tmp_path_factory, lines):
    path = tmp_path_factory.getbasetemp() / "fuzz.toml"
    path.write_text("\n".join(lines))
    try:
        places = [step.source for step in load(path).steps]
    except InputError as error:
        places = [problem.position for problem in error.problems]
    assert places
    assert None not in places
