import json


def test_tasks_are_listed_with_what_they_can(project, opsflow):
    ended = opsflow("task", "list")
    assert ended.code == 0
    (line,) = [line for line in ended.out.splitlines() if line.startswith("note ")]
    assert line.split(maxsplit=3) == ["note", "yes", "yes", "Write a local note."]
    assert any(line.startswith("command ") for line in ended.out.splitlines())


def test_tasks_as_json_have_their_schema(project, opsflow):
    tasks = {task["name"]: task for task in json.loads(opsflow("task", "list", "--output", "json").out)}
    note = tasks["note"]
    assert note["schema"]["required"] == ["path"]
    assert (note["source"], note["reversible"]) == (str(project / "plugins/note.py"), True)


def test_a_task_is_shown_with_its_parameters(project, opsflow):
    ended = opsflow("task", "doc", "copy")
    assert ended.code == 0
    assert ended.out.startswith("copy  Put a file on the target")
    assert "\n  dest  text, required\n      The file on the target" in ended.out
    assert "\n  keep  integer, default 5\n" in ended.out
    assert json.loads(opsflow("task", "doc", "note", "--output", "json").out)["schema"]["required"] == ["path"]


def test_a_task_that_there_is_not_is_told_with_the_one_that_may_be_meant(project, opsflow):
    ended = opsflow("task", "doc", "coppy")
    assert (ended.code, ended.out) == (2, "")
    assert "there is no task 'coppy'" in ended.err
    assert "did you mean `copy`?" in ended.err


def test_as_json_lines_each_part_has_its_line(project, opsflow):
    lines = opsflow("task", "list", "--output", "jsonl").out.splitlines()
    assert "note" in [json.loads(line)["name"] for line in lines]


def test_a_broken_plugin_is_an_error_with_its_place(project, opsflow):
    (project / "plugins/broken.py").write_text("\n\nimport nothing_like_that\n")
    ended = opsflow("task", "list")
    assert ended.code == 2
    assert f"{project}/plugins/broken.py:3:1: plugin `broken` cannot be imported" in ended.err


def test_hosts_are_listed_with_how_they_are_reached(project, opsflow):
    (project / "inventories").mkdir()
    (project / "inventories/prod.toml").write_text(
        '[groups.web]\nhosts = ["web-[1:2]"]\n[hosts.web-1]\naddress = "10.0.0.1"\nport = 2222\nuser = "ops"\n'
    )
    head, first, second = opsflow("inventory", "list", "-i", "prod").out.splitlines()
    assert head.split() == ["HOST", "TRANSPORT", "ADDRESS", "PORT", "USER", "GROUPS"]
    assert first.split() == ["web-1", "ssh", "10.0.0.1", "2222", "ops", "web"]
    assert second.split() == ["web-2", "ssh", "web-2", "-", "-", "web"]
    data = json.loads(opsflow("inventory", "list", "-i", "prod", "--output", "json").out)
    assert data["groups"]["web"] == ["web-1", "web-2"]
    assert (data["hosts"][0]["port"], data["hosts"][1]["port"]) == (2222, None)


def test_the_default_inventory_is_the_projects(project, opsflow):
    assert "here" in opsflow("inventory", "list").out


def test_without_any_inventory_it_is_asked_for(project, opsflow):
    (project / "opsflow.toml").write_text("")
    ended = opsflow("inventory", "list")
    assert ended.code == 2
    assert "no inventory was named" in ended.err


def test_a_host_is_shown_with_the_place_that_each_value_comes_from(project, opsflow):
    (project / "i.toml").write_text('[vars]\nx = "all"\n[hosts.web-1]\nport = 22\nvars = { x = ["a"] }\n')
    shown = opsflow("inventory", "show", "web-1", "-i", "i.toml", "--explain").out.splitlines()
    assert shown[0] == "web-1"
    assert ["port", "22", "[hosts.web-1]", "i.toml:4:1"] in [line.split() for line in shown]
    assert ["x", '["a"]', "host", "i.toml:5:10"] in [line.split() for line in shown]
    assert ['"all"', "hidden:", "all", "i.toml:2:1"] in [line.split() for line in shown]
    short = opsflow("inventory", "show", "web-1", "-i", "i.toml").out
    assert "i.toml" not in short
    assert '["a"]' in short


def test_a_host_is_shown_as_json(project, opsflow):
    (project / "i.toml").write_text('[vars]\nx = "all"\n[groups.web]\nhosts = ["web-1"]\nvars = { x = 1 }\n')
    found = json.loads(opsflow("inventory", "show", "web-1", "-i", "i.toml", "--output", "json").out)
    assert (found["name"], found["groups"]) == ("web-1", ["web"])
    assert found["connection"]["address"] == {"value": "web-1", "by": "default", "where": "", "over": []}
    over = [{"value": "all", "by": "all", "where": "i.toml:2:1"}]
    assert found["variables"]["x"] == {"value": 1, "by": "group web", "where": "i.toml:5:10", "over": over}


def test_groups_are_shown_as_a_tree_and_each_in_full_once(project, opsflow):
    (project / "i.toml").write_text(
        '[groups.site]\nchildren = ["web", "db"]\n[groups.web]\nhosts = ["w1", "w2"]\n[groups.db]\nhosts = ["d1"]\n'
        '[groups.zone]\nchildren = ["web"]\nhosts = ["d1"]\n[hosts.lonely]\n'
    )
    assert (
        opsflow("inventory", "graph", "-i", "i.toml").out
        == """\
all
├─ site
│  ├─ web
│  │  ├─ w1
│  │  └─ w2
│  └─ db
│     └─ d1
├─ zone
│  ├─ web (see above)
│  └─ d1
└─ lonely
"""
    )
    groups = json.loads(opsflow("inventory", "graph", "-i", "i.toml", "--output", "json").out)
    assert groups["all"] == {"children": ["site", "zone"], "hosts": ["lonely"]}
    assert groups["site"] == {"children": ["web", "db"], "hosts": []}


def test_what_of_an_inventory_is_not_understood_is_told_beside_the_list(project, opsflow):
    (project / "hosts").write_text("[web]\nw1 ansible_password=hunter2\n")
    ended = opsflow("inventory", "list", "-i", "hosts")
    assert ended.code == 0
    assert "warning: hosts:2:4: `ansible_password` is not heeded" in ended.err
    assert "hunter2" not in ended.out + ended.err
    (notice,) = json.loads(opsflow("inventory", "list", "-i", "hosts", "--output", "json").out)["notices"]
    assert (notice["file"], notice["line"]) == ("hosts", 2)
