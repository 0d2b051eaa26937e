"""What `opsflow graph` draws, of a plan."""

from opsflow.plan import Selection, contracted, picture

BOOK = """
flow = "graph"
[[step]]
id = "stop"
task = "command"
hosts = "web"
with = { run = "true" }
[[step]]
id = "backup"
task = "command"
hosts = "db"
tags = ["b"]
needs = ["stop"]
with = { run = "true" }
[[step]]
id = "start"
task = "command"
hosts = "web"
needs = [{ step = "backup", per = "shard" }]
with = { run = "use {{ outputs.stop.stdout }}" }
"""
HOSTS = {"w1": {"shard": "a"}, "w2": {"shard": "b"}, "d1": {"shard": ["a", "b"]}}
GROUPS = {"web": ["w1", "w2"], "db": ["d1"]}


def needs(found):
    return [(need.before, need.after, need.per) for need in found.needs]


def test_needs_are_those_that_are_stated_and_those_that_outputs_make(maker):
    found = picture(maker.compile(BOOK, HOSTS, groups=GROUPS))
    assert needs(found) == [("stop", "backup", ""), ("stop", "start", ""), ("backup", "start", "shard")]
    assert [(step.id, step.hosts, step.nodes) for step in found.steps] == [
        ("stop", ("w1", "w2"), 2), ("backup", ("d1",), 1), ("start", ("w1", "w2"), 2),
    ]  # fmt: skip


def test_without_an_inventory_there_are_steps_and_needs_alone(maker):
    found = picture(maker.compile(BOOK))
    assert len(found.needs) == 3
    assert {(step.hosts, step.nodes) for step in found.steps} == {(None, None)}


def test_what_is_left_out_is_not_drawn_and_its_needs_are_inherited(maker):
    plan = maker.compile(BOOK.replace("use {{ outputs.stop.stdout }}", "true"), HOSTS, groups=GROUPS)
    found = picture(contracted(plan, maker.inventory(HOSTS, GROUPS), Selection(skip_tags=("b",))))
    assert [step.id for step in found.steps] == ["stop", "start"]
    assert needs(found) == [("stop", "start", "")]


def test_items_count_as_nodes_and_another_host_is_named(maker):
    text = (
        BOOK
        + """
[[step]]
id = "drain"
task = "command"
hosts = "web"
on = "d1"
foreach = ["x", "y"]
needs = []
with = { run = "true" }
[[step]]
id = "tell"
task = "command"
hosts = "web"
foreach = ["x"]
needs = [{ step = "drain", per = "item", optional = true }]
with = { run = "true" }
"""
    )
    found = picture(maker.compile(text, HOSTS, groups=GROUPS))
    drain = found.steps[3]
    assert (drain.hosts, drain.nodes, drain.on) == (("w1", "w2"), 4, "d1")
    assert ("drain", "tell", "item") in needs(found)


def test_a_default_for_items_is_not_drawn_where_there_are_none(maker):
    text = BOOK.replace('flow = "graph"', 'flow = "graph"\n[defaults]\nper = "item"')
    assert ("stop", "backup", "") in needs(picture(maker.compile(text, HOSTS, groups=GROUPS)))


def test_steps_of_an_included_playbook_are_drawn_by_their_whole_ids(maker):
    (maker.directory / "db.toml").write_text(BOOK)
    found = picture(maker.compile('[[step]]\nid = "db"\ninclude = "db.toml"\n', HOSTS, groups=GROUPS))
    assert ("db/stop", "db/backup", "") in needs(found)


def test_what_is_rolled_is_known_and_what_asks_between_batches_is_no_step(maker):
    text = '[rollout]\nby = "host"\nhosts = "web"\nbatches = [1]\npause = "approve"\n' + BOOK.replace(
        'flow = "graph"', ""
    )
    book = 'flow = "graph"\n' + text.replace('needs = ["stop"]', "needs = []")
    found = picture(maker.compile(book, HOSTS, groups=GROUPS))
    assert {step.id: step.rolled for step in found.steps} == {"stop": True, "backup": False, "start": True}
    assert found.batches.units == (("w1",), ("w2",))
