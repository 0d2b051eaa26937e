"""`include`: a playbook within a playbook. Its steps, what they see, and what they wait for."""

import textwrap

import pytest

from opsflow.errors import InputError
from opsflow.plan import Plan, Selection, contracted, differences, merged, node_changes

TWO = {"a1": {"shard": "a"}, "b1": {"shard": "b"}}


def step(name, rest="", *, hosts="all", run="true"):
    return f'[[step]]\nid = "{name}"\ntask = "command"\nhosts = "{hosts}"\n{rest}\nwith = {{ run = "{run}" }}\n'


def include(name, rest="", *, file=None):
    return f'[[step]]\nid = "{name}"\ninclude = "{file or name}.toml"\n{rest}\n'


@pytest.fixture
def write(maker):
    def make(**files):
        for name, text in files.items():
            (maker.directory / f"{name}.toml").write_text(textwrap.dedent(text))

    return make


def needs(plan, step_id, host="a1"):
    return {need.partition("@")[0] for need in plan.needs_of(f"{step_id}@{host}")}


# Steps and their order


def test_steps_of_an_included_playbook_bear_the_id_of_the_entry(maker, write):
    write(db=step("stop") + step("dump"))
    plan = maker.compile(step("one") + include("db") + step("two"), TWO)
    assert [n.id for n in plan.nodes if n.host == "a1"] == ["one@a1", "db/stop@a1", "db/dump@a1", "two@a1"]


def test_in_a_line_it_has_its_place(maker, write):
    write(db=step("stop") + step("dump"))
    plan = maker.compile(step("one") + include("db") + step("two"), TWO)
    assert [needs(plan, s) for s in ("one", "db/stop", "db/dump", "two")] == [set(), {"one"}, {"db/stop"}, {"db/dump"}]


def test_what_needs_it_needs_all_its_last_steps_and_what_it_needs_its_first_ones_need(maker, write):
    write(db='flow = "graph"\n' + step("a") + step("b", 'needs = ["a"]') + step("c") + step("d"))
    text = step("one") + step("other", "needs = []") + include("db", 'needs = ["one", "other"]')
    plan = maker.compile(text + step("two"), TWO)
    assert needs(plan, "db/a") == needs(plan, "db/c") == needs(plan, "db/d") == {"one", "other"}
    assert needs(plan, "db/b") == {"db/a"}
    assert needs(plan, "two") == {"db/b", "db/c", "db/d"}


def test_what_is_inferred_inside_tells_first_and_last_steps_too(maker, write):
    write(db='flow = "graph"\n' + step("a") + step("b", run="{{ outputs.a.stdout }}"))
    plan = maker.compile(step("one") + include("db") + step("two"), TWO)
    assert needs(plan, "db/b") == {"db/a"}
    assert needs(plan, "two") == {"db/b"}


def test_in_a_graph_it_needs_what_is_stated(maker, write):
    write(db=step("a") + step("b"))
    text = (
        'flow = "graph"\n'
        + step("one")
        + include("db")
        + step("two", 'needs = ["db"]')
        + step("three", 'needs = ["db/a"]')
    )
    plan = maker.compile(text, TWO)
    assert [needs(plan, s) for s in ("db/a", "db/b", "two", "three")] == [set(), {"db/a"}, {"db/b"}, {"db/a"}]


def test_the_need_of_an_entry_has_its_own_per(maker, write):
    write(db=step("a"))
    plan = maker.compile(step("one") + include("db", 'per = "shard"') + step("two", 'per = "host"'), TWO)
    assert plan.needs_of("db/a@a1") == ("one@a1",)
    assert plan.needs_of("two@b1") == ("db/a@b1",)


def test_includes_nest(maker, write):
    write(outer=step("x") + include("inner") + step("y"), inner=step("deep"))
    plan = maker.compile(step("one") + include("outer") + step("two"), TWO)
    assert [n.id for n in plan.nodes if n.host == "a1"][1:4] == ["outer/x@a1", "outer/inner/deep@a1", "outer/y@a1"]
    assert needs(plan, "outer/inner/deep") == {"outer/x"}
    assert needs(plan, "outer/y") == {"outer/inner/deep"}


def test_a_first_step_that_is_included_itself_waits_for_what_the_outer_one_waits_for(maker, write):
    write(outer=include("inner"), inner=step("deep"))
    plan = maker.compile(step("one") + include("outer") + step("two"), TWO)
    assert needs(plan, "outer/inner/deep") == {"one"}
    assert needs(plan, "two") == {"outer/inner/deep"}


def test_one_playbook_may_be_included_more_than_once(maker, write):
    write(db="[inputs]\nlabel = { required = true }\n" + step("dump", run="dump {{ label }}"))
    text = include("x", 'vars = { label = "x" }', file="db") + include("y", 'vars = { label = "y" }', file="db")
    plan = maker.compile(text, TWO)
    assert needs(plan, "y/dump") == {"x/dump"}


def test_what_it_runs_at_the_end_runs_at_the_end_of_the_run(maker, write):
    write(db=step("a") + step("tell", "finally = true"))
    plan = maker.compile(step("one") + include("db") + step("two") + step("last", "finally = true"), TWO)
    assert plan.at_end == {"db/tell@a1", "db/tell@b1", "last@a1", "last@b1"}
    assert needs(plan, "two") == {"db/a"}
    assert needs(plan, "last") == {"db/tell"}


def test_its_steps_have_the_entrys_tags_too(maker, write):
    write(db=step("a", 'tags = ["x"]') + step("b"))
    plan = maker.compile(step("one") + include("db", 'tags = ["data"]'), TWO)
    assert plan.steps["db/a"].tags == ("x", "data")
    found = contracted(plan, maker.inventory(TWO), Selection(tags=("data",)))
    assert [n.id for n in found.nodes if n.host == "a1"] == ["db/a@a1", "db/b@a1"]


# What its templates see


INPUT = '[inputs]\nlabel = { default = "none" }\n'


def variables(plan, step_id, maker, host="a1", **facts):
    """What the step's `run` becomes."""
    from opsflow.engine.jobs import Jobs
    from opsflow.engine.run import NodeStatus
    from opsflow.model import NodeState
    from opsflow.playbook import TemplateRenderer

    renderer = TemplateRenderer(directory=".", hosts=lambda _: [])
    nodes = {
        n.id: NodeStatus(id=n.id, step=n.step, host=n.host, state=NodeState.SUCCEEDED, outputs={"stdout": n.id})
        for n in plan.nodes
    }
    job = Jobs(plan, nodes, "run", renderer).prepare(f"{step_id}@{host}")
    return renderer.render(job.params["run"], job.variables, job.facts)


def test_its_inputs_are_what_the_entry_gives_else_their_defaults(maker, write):
    write(db=INPUT + step("a", run="{{ label }}"))
    text = '[vars]\nlabel = "outer"\n' + include("x", 'vars = { label = "given" }', file="db") + include("y", file="db")
    plan = maker.compile(text, TWO)
    assert variables(plan, "x/a", maker) == "given"
    assert variables(plan, "y/a", maker) == "none"


def test_what_is_given_is_a_template_of_the_including_playbook(maker, write):
    """Also where both call it the same."""
    write(db=INPUT + step("a", run="{{ label }}"))
    text = '[vars]\nlabel = "outer-{{ shard }}-{{ host }}"\n' + include("db", "vars = { label = '{{ label }}' }")
    assert variables(maker.compile(text, TWO), "db/a", maker, "b1") == "outer-b-b1"


def test_a_lone_expression_keeps_its_type_on_the_way(maker, write):
    write(db='[inputs]\nn = { type = "list" }\n' + step("a", run="{{ n | sum }}."))
    plan = maker.compile("[vars]\nthem = [1, 2]\n" + include("db", "vars = { n = '{{ them }}' }"), TWO)
    assert plan.nodes


def test_through_two_playbooks(maker, write):
    write(
        outer=INPUT + include("inner", "vars = { label = '{{ label }}!' }"),
        inner=INPUT + step("deep", run="{{ label }}"),
    )
    text = '[vars]\nlabel = "x"\n' + include("outer", "vars = { label = '{{ label }}?' }")
    assert variables(maker.compile(text, TWO), "outer/inner/deep", maker) == "x?!"


def test_it_sees_the_hosts_variables_and_its_own_but_not_those_of_the_including_playbook(maker, write):
    write(db='[vars]\nown = "own-{{ shard }}"\n' + step("a", run="{{ own }} {{ secret_of_outer }}"))
    found = maker.problems('[vars]\nsecret_of_outer = "x"\n' + include("db"), TWO)
    assert len(found) == 1
    assert "'secret_of_outer' is not defined" in found[0][1]


def test_what_the_caller_gives_with_e_is_seen_in_it_but_does_not_change_what_it_was_given(maker, write):
    write(db=INPUT + step("a", run="{{ label }} {{ other }}"))
    plan = maker.compile(include("db", 'vars = { label = "given" }'), TWO, extra={"label": "e", "other": "o"})
    assert variables(plan, "db/a", maker) == "given o"


def test_its_templates_mean_its_own_steps(maker, write):
    write(db=step("dump") + step("load", run="{{ outputs.dump.stdout }} {{ steps.dump.state }}"))
    plan = maker.compile(step("dump") + include("db"), TWO)
    assert plan.references["db/load"] == ("db/dump",)
    assert variables(plan, "db/load", maker) == "db/dump@a1 succeeded"


def test_what_is_given_means_steps_of_the_including_playbook_and_needs_them(maker, write):
    write(db=INPUT + step("dump") + step("load", run="{{ label }} {{ outputs.dump.stdout }}"))
    text = 'flow = "graph"\n' + step("dump") + include("db", "vars = { label = '{{ outputs.dump.stdout }}' }")
    plan = maker.compile(text, TWO)
    assert set(plan.references["db/load"]) == {"dump", "db/dump"}
    assert needs(plan, "db/load") == {"dump", "db/dump"}
    assert variables(plan, "db/load", maker) == "dump@a1 db/dump@a1"


def test_the_including_playbook_mentions_a_step_of_it_by_its_whole_id(maker, write):
    write(db=step("dump") + step("load"))
    text = 'flow = "graph"\n' + include("db") + step("two", run="{{ outputs['db/dump'].stdout }}")
    plan = maker.compile(text, TWO)
    assert needs(plan, "two") == {"db/dump"}
    assert variables(plan, "two", maker) == "db/dump@a1"


# Where and whether


def test_with_hosts_its_steps_are_on_those_of_their_hosts_that_match_and_on_the_control_machine(maker, write):
    write(db=step("all") + step("a", hosts="a1") + step("here", hosts="localhost"))
    plan = maker.compile(include("db", 'hosts = "a1"'), TWO)
    assert [node.id for node in plan.nodes] == ["db/all@a1", "db/a@a1", "db/here@localhost"]


def test_its_condition_needs_what_it_mentions_and_sees_what_the_including_playbook_sees(maker, write):
    write(db='[vars]\nshard = "z"\n' + step("a", """when = "shard == 'z'" """) + step("b"))
    text = step("one") + step("two") + include("db", 'needs = []\nwhen = "steps.one.changed and shard == limit"')
    plan = maker.compile(text, TWO, extra={"limit": "c"})
    assert needs(plan, "db/a") == {"one"}
    assert needs(plan, "db/b") == {"db/a", "one"}


def test_where_its_condition_is_false_it_does_not_matter_what_is_in_it(maker, write):
    write(db=step("a", run="{{ wrong }}") + step("b", 'when = "wrong"'))
    entry = include("db", """when = "shard == 'c'" """)
    assert len(maker.compile(entry, TWO).nodes) == 4
    assert len(maker.problems(entry.replace("'c'", "'a'"), TWO)) == 2


def test_another_condition_of_the_entry_changes_its_steps(maker, write):
    write(db=step("a"))
    text = step("one") + include("db", 'when = "shard == kind"')
    plan = maker.compile(text, TWO, extra={"kind": "a"})
    other = maker.compile(text.replace("==", "!="), TWO, extra={"kind": "a"})
    assert node_changes(plan, other).differing == ("db/a@a1", "db/a@b1")
    assert [(d.what, d.names, d.key) for d in differences(plan, other)] == [("include", ("db",), "when")]
    assert node_changes(plan, maker.compile(text, TWO, extra={"kind": "b"})).differing == ("db/a@a1", "db/a@b1")
    assert Plan.from_json(plan.to_json()) == plan


# What is wrong


def test_a_wrong_condition_of_an_entry_is_told_once_where_it_stands(maker, write):
    files = {"db": step("a") + step("b", 'when = "true"')}
    for when, said in [
        ("nothing", "'nothing' is not defined"),
        ("1 +", "unexpected"),
        ("'x'", "must be true or false"),
        ("outputs.one.stdot == ''", "a template reads outputs.one.stdot, which the task 'command' does not give"),
        ("steps.two.changed", "a template mentions step 'two', which there is not"),
    ]:
        [(file, line, message, _)] = problems(maker, step("one") + include("db", f'when = "{when}"'), files, write)
        assert (file, line) == ("play.toml", 10)
        assert message.startswith("step 'db': ")
        assert said in message


def test_hosts_of_an_entry_that_leave_a_step_none_are_told(maker, write):
    files = {"db": step("a", hosts="a1")}
    [(file, line, message, hint)] = problems(maker, include("db", 'hosts = "b1"'), files, write)
    assert (file, line) == ("play.toml", 4)
    assert message == "step 'db': the pattern 'b1' leaves no host to its step 'db/a', which is on 'a1'"
    assert hint


def problems(maker, text, files, write):
    write(**files)
    with pytest.raises(InputError) as caught:
        maker.compile(text, TWO)
    return [(p.position.file.rpartition("/")[2], p.position.line, p.message, p.hint) for p in caught.value.problems]


def test_what_is_wrong_in_it_is_told_where_it_stands(maker, write):
    files = {"db": step("a", "need = []") + step("a", 'needs = ["b"]')}
    found = problems(maker, include("db"), files, write)
    assert [(file, line) for file, line, *_ in found] == [("db.toml", 5), ("db.toml", 8), ("db.toml", 11)]


def test_what_the_compiler_finds_in_it_is_told_where_it_stands(maker, write):
    found = problems(maker, include("db"), {"db": step("a", run="{{ nothing }}")}, write)
    assert [(file, line) for file, line, *_ in found] == [("db.toml", 6)]
    assert found[0][2].startswith("step 'db/a': ")


@pytest.mark.parametrize(
    ("entry", "line", "said", "hint"),
    [
        (include("db"), 3, "db.toml requires the input `label`", "give it: vars = { label = ... } (Which)"),
        (
            include("db", 'vars = { lable = "x", label = "y" }'),
            4,
            "db.toml has no input `lable`",
            "did you mean `label`?",
        ),
        (include("db", "vars = { label = 3 }"), 4, "input `label` of db.toml is not of type string", ""),
        (include("db", 'vars = { label = "x" }') + step("b", 'needs = ["db/x"]'), 9, "there is no step `db/x`", "db/a"),
        (include("db", file="no"), 3, "no.toml: no such file", ""),
    ],
)
def test_a_wrong_entry_is_told(maker, write, entry, line, said, hint):
    files = {"db": '[inputs]\nlabel = { required = true, description = "Which." }\n' + step("a")}
    [(file, found, message, told)] = problems(maker, entry, files, write)
    assert (file, found) == ("play.toml", line)
    assert said in message
    assert hint in told


def test_playbooks_that_include_one_another_are_refused(maker, write):
    files = {"a": include("b"), "b": include("c"), "c": step("x") + include("again", file="a")}
    [(file, line, message, _)] = problems(maker, include("a"), files, write)
    assert (file, line) == ("c.toml", 9)
    assert message == "playbooks include one another in a circle: a.toml → b.toml → c.toml → a.toml"


def test_a_path_begins_where_the_including_file_is(maker, write):
    (maker.directory / "sub").mkdir()
    (maker.directory / "sub" / "x.toml").write_text(include("y"))
    (maker.directory / "sub" / "y.toml").write_text(step("deep"))
    plan = maker.compile(include("x", file="sub/x"), TWO)
    assert [n.id for n in plan.nodes] == ["x/y/deep@a1", "x/y/deep@b1"]


# Another plan


def test_the_plan_that_is_stored_is_the_same(maker, write):
    write(db=INPUT + step("a", run="{{ label }}"))
    plan = maker.compile(include("db", "vars = { label = '{{ shard }}' }"), TWO)
    again = Plan.from_json(plan.to_json())
    assert (again.nodes, again.playbook) == (plan.nodes, plan.playbook)
    assert variables(again, "db/a", maker) == "a"


def test_something_else_given_is_told_and_changes_those_that_use_it(maker, write):
    write(db=INPUT + step("a", run="{{ label }}") + step("b"))
    old = maker.compile('[vars]\nv = "1"\nw = 1\n' + include("db", "vars = { label = '{{ v }}' }"), TWO)
    new = maker.compile('[vars]\nv = "2"\nw = 1\n' + include("db", "vars = { label = '{{ v }}' }"), TWO)
    assert node_changes(old, new).differing == ("db/a@a1", "db/a@b1")
    new = maker.compile('[vars]\nv = "1"\nw = 2\n' + include("db", "vars = { label = '{{ v }}' }"), TWO)
    assert node_changes(old, new).differing == ()
    new = maker.compile('[vars]\nv = "1"\nw = 1\n' + include("db", "vars = { label = 'x' }"), TWO)
    assert [(d.what, d.names, d.key, d.before, d.after) for d in differences(old, new)] == [
        ("include", ("db",), "given.label", '"{{ v }}"', '"x"')
    ]


def test_steps_of_a_playbook_that_is_included_no_more_keep_what_they_saw(maker, write):
    write(db=INPUT + step("a", run="{{ label }}"))
    old = maker.compile(include("db", "vars = { label = '{{ shard }}' }") + step("one"), TWO)
    plan = merged(old, maker.compile(step("one"), TWO), {"db/a@a1"})
    assert variables(Plan.from_json(plan.to_json()), "db/a", maker) == "a"


# In batches


def test_steps_of_an_included_playbook_go_in_the_batches_of_the_including_one(maker, write):
    write(db=step("a"))
    plan = maker.compile('[rollout]\nby = "shard"\nbatches = [1]\n' + include("db") + step("one"), TWO)
    assert plan.steps["db/a"].rollback_scope == "shard"
    assert plan.needs_of("one@a1") == ("db/a@a1",)


def test_an_included_playbook_has_no_batches_of_its_own(maker, write):
    files = {"db": '[rollout]\nby = "shard"\nbatches = [1]\n' + step("a")}
    [(file, line, message, hint)] = problems(maker, include("db"), files, write)
    assert (file, line, message) == ("db.toml", 1, "`[rollout]` in an included playbook")
    assert "put it there" in hint


@pytest.mark.parametrize(("first", "last"), [(a, b) for a in range(4) for b in range(a, 4)])
def test_a_line_stays_the_same_line_whichever_part_of_it_is_included(maker, write, first, last):
    names = ["s0", "s1", "s2", "s3"]
    inside = names[first : last + 1]
    write(part="".join(map(step, inside)))
    outer = [*map(step, names[:first]), include("part"), *map(step, names[last + 1 :])]
    plan = maker.compile("".join(outer), {"a1": {}})
    order = [f"part/{name}" if name in inside else name for name in names]
    assert [needs(plan, name) for name in order] == [set(), *({before} for before in order[:-1])]
