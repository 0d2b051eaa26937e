import json

from opsflow import app
from opsflow.cli import options
from opsflow.model import OnFailure

NOTES = "playbooks/notes.toml"


def test_validate_of_a_good_playbook_says_so(project, opsflow):
    ended = opsflow("validate", NOTES)
    assert (ended.code, ended.out) == (0, f"{NOTES}: no problems found\n")
    assert json.loads(opsflow("validate", NOTES, "--output", "json").out) == {"problems": [], "notices": []}
    assert opsflow("validate", NOTES, "--output", "quiet").out == ""


def test_validate_names_every_mistake_with_its_place(project, opsflow):
    path = project / NOTES
    path.write_text(path.read_text().replace("wait = 0", "wiat = 0").replace('text = "{{ text }}"', "wait = 'x'"))
    ended = opsflow("validate", NOTES)
    assert (ended.code, ended.out) == (2, "")
    first, second = (line for line in ended.err.splitlines() if line.startswith(NOTES))
    assert first.startswith(f"{NOTES}:11:")
    assert first.endswith("unknown key `wiat`; did you mean `wait`?")
    assert second.startswith(f"{NOTES}:17:")
    assert "`wait` should be a valid number" in second
    assert ended.err.endswith("error: 2 problems, nothing was done\n")


def test_mistakes_are_json_for_programs(project, opsflow):
    path = project / NOTES
    path.write_text(path.read_text().replace("wait = 0", "wiat = 0"))
    ended = opsflow("validate", NOTES, "--output", "json")
    assert (ended.code, ended.out) == (2, "")
    (problem,) = json.loads(ended.err)["error"]["problems"]
    assert (problem["file"], problem["line"]) == (NOTES, 11)
    assert "unknown key `wiat`; did you mean `wait`?" in problem["message"]


def test_plan_shows_and_changes_nothing(project, opsflow):
    ended = opsflow("plan", NOTES)
    assert ended.code == 0
    assert "~ change     localhost  write it" in ended.out
    assert ended.out.endswith("plan: 2 to change\n")
    assert ended.err == ""
    assert not (project / "first.txt").exists()


def test_plan_as_json(project, opsflow):
    nodes = json.loads(opsflow("plan", NOTES, "--output", "json").out)["nodes"]
    assert [(node["id"], node["action"], node["needs"]) for node in nodes] == [
        ("first@localhost", "change", []),
        ("second@localhost", "change", ["first@localhost"]),
    ]


def test_a_plan_that_would_fail_has_exit_code_1(project, opsflow):
    (project / "first.txt").touch()
    ended = opsflow("plan", NOTES, "-e", "text=refuse")
    assert ended.code == 1
    assert "would fail: second@localhost" in ended.out
    assert ended.err == "1 of 2 nodes would fail; nothing was changed\n"


def test_apply_runs_and_tells(project, opsflow):
    ended = opsflow("apply", NOTES, "--yes", "-e", "text=ho")
    assert ended.code == 0
    assert "plan: 2 to change" in ended.out
    assert "succeeded second@localhost: write it" in ended.err
    assert (project / "second.txt").read_text() == "ho"


def test_dry_run_of_apply_is_plan(project, opsflow):
    assert opsflow("apply", NOTES, "--dry-run").out == opsflow("plan", NOTES).out
    assert not (project / "first.txt").exists()


def test_apply_as_json_is_what_show_says(project, opsflow):
    ended = opsflow("apply", NOTES, "--yes", "--output", "json")
    data = json.loads(ended.out)
    assert (data["run"]["state"], data["run"]["exit_code"], ended.err) == ("succeeded", 0, "")
    assert data == json.loads(opsflow("show", "--output", "json").out) | {"notices": []}


def test_what_of_the_inventory_is_not_understood_is_told_to_programs_too(project, opsflow):
    (project / "hosts").write_text("[web]\nw1 ansible_connection=local ansible_password=hunter2\n")
    made = [
        json.loads(opsflow(*words, NOTES, "-i", "hosts", "--output", "json").out)["notices"]
        for words in (["validate"], ["plan"], ["apply", "--yes"])
    ]
    lines = opsflow("plan", NOTES, "-i", "hosts", "--output", "jsonl").out.splitlines()
    [event] = [found for found in map(json.loads, lines) if found["event"] == "inventory_noticed"]
    assert made == [[event["notice"]]] * 3
    assert (event["notice"]["file"], event["notice"]["line"], event["notice"]["column"]) == ("hosts", 2, 29)
    assert "`ansible_password` is not heeded" in event["notice"]["message"]


def test_apply_as_json_lines_ends_with_run_finished(project, opsflow):
    ended = opsflow("apply", NOTES, "--yes", "--output", "jsonl", "-e", "text=fail")
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert ended.code == 3
    assert {key: events[-1][key] for key in ("event", "state", "exit_code")} == {
        "event": "run_finished",
        "state": "rolled_back",
        "exit_code": 3,
    }
    assert ended.err == ""


def test_a_failure_tells_everything_and_rolls_back(project, opsflow):
    ended = opsflow("apply", NOTES, "--yes", "-e", "text=fail")
    assert ended.code == 3
    assert "failed    second@localhost: no ink" in ended.err
    assert f"    step     second at {NOTES}:13:1" in ended.err
    assert "    hint     buy some" in ended.err
    assert not (project / "first.txt").exists()


def test_on_failure_overrides_the_playbook(project, opsflow):
    ended = opsflow("apply", NOTES, "--yes", "-e", "text=fail", "--on-failure", "halt")
    assert ended.code == 1
    assert "next: opsflow resume" in ended.err
    assert (project / "first.txt").exists()


def test_quiet_says_nothing_unless_it_fails(project, opsflow):
    ended = opsflow("apply", NOTES, "--yes", "--output", "quiet")
    assert (ended.code, ended.out, ended.err) == (0, "", "")
    ended = opsflow("apply", NOTES, "--yes", "--output", "quiet", "-e", "text=refuse")
    assert (ended.code, ended.out) == (1, "")
    assert ended.err == "1 of 2 nodes would fail; nothing was changed\n"


def test_without_a_terminal_nobody_can_be_asked(project, opsflow):
    ended = opsflow("apply", NOTES)
    assert ended.code == 7
    assert ended.err.endswith("There is nobody at the terminal to ask\nhint: say --yes\n")
    assert not (project / "first.txt").exists()
    assert "no runs yet" in opsflow("runs").out


def test_a_question_that_nobody_can_be_asked_is_told_to_programs_as_json_alone(project, opsflow):
    ended = opsflow("apply", NOTES, "--output", "json")
    assert (ended.code, ended.out) == (7, "")
    assert json.loads(ended.err)["error"]["type"] == "ApprovalNeeded"


def test_a_halted_run_is_resumed(project, opsflow):
    opsflow("apply", NOTES, "--yes", "-e", "text=fail", "--on-failure", "halt")
    run = json.loads(opsflow("runs", "--output", "json").out)[0]["id"]
    ended = opsflow("resume", run[:-1])
    assert ended.code == 1
    assert "failed    second@localhost: no ink" in ended.err
    assert "succeeded first" not in ended.err


def test_rollback_of_a_run_that_succeeded(project, opsflow):
    opsflow("apply", NOTES, "--yes")
    shown = opsflow("rollback", "--dry-run")
    assert (shown.code, "second" in shown.out) == (0, True)
    assert (project / "first.txt").exists()
    assert opsflow("rollback", "--yes").code in {0, 3}
    assert not (project / "first.txt").exists()
    ended = opsflow("rollback", "--yes")
    assert "has left nothing to revert" in ended.err


def test_a_journal_elsewhere(project, opsflow, monkeypatch, tmp_path):
    url = f"sqlite:///{tmp_path}/other.db"
    assert opsflow("apply", NOTES, "--yes", "--journal", url).code == 0
    assert "no runs yet" in opsflow("runs").out
    monkeypatch.setenv("OPSFLOW_JOURNAL", url)
    assert "succeeded" in opsflow("runs").out


def test_a_run_from_elsewhere_says_where_its_journal_is(project, opsflow, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    ended = opsflow("apply", project / NOTES, "--yes")
    assert ended.code == 0
    assert "journal" not in ended.err
    ended = opsflow("apply", project / NOTES, "--yes", "-e", "text=fail", "--on-failure", "halt")
    assert ended.code == 0  # nothing to do
    (project / "second.txt").unlink()
    ended = opsflow("apply", project / NOTES, "--yes", "-e", "text=fail", "--on-failure", "halt")
    assert ended.err.endswith(f"(in {project}, where this run's journal is)\n")


def test_options_reach_the_use_case(project, opsflow, monkeypatch):
    seen = {}

    def apply(request, settings, listeners, *, confirm, stop, approver):
        seen.update(request=request, settings=settings, confirm=confirm)
        return app.RunSummary(exit_code=4)

    monkeypatch.setattr(app, "apply", apply)
    (project / "more").mkdir()
    ended = opsflow(
        *("apply", NOTES, "-i", "prod", "-e", "a=1", "--extra", "b:=2", "--forks", 7, "--executor", "serial"),
        *("--plugins", "more", "--abandon", "01OLD", "--on-failure", "continue", "--yes"),
    )
    assert ended.code == 4
    request, settings = seen["request"], seen["settings"]
    assert (request.inventory, request.extra, request.abandon) == ("prod", ("a=1", "b:=2"), "01OLD")
    assert request.on_failure is OnFailure.CONTINUE
    assert (settings.forks, settings.executor, settings.plugins[-1]) == (7, "serial", project / "more")
    assert seen["confirm"] is None


def test_the_failure_policies_are_the_models():
    assert list(map(str, options.OnFailure)) == list(map(str, OnFailure))
