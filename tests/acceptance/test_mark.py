"""An operator's verdict on what opsflow cannot find out: given from elsewhere, kept with its reason, gone on from."""

import getpass

from command_line import eventually, step

SLOW = "echo > began; while [ ! -e go ]; do sleep 0.05; done; echo x >> slow"


def impatient(project):
    """A lost connection is not made again for long."""
    project.write("opsflow.toml", 'inventory = "fleet"\n[ssh]\nreconnect = "1s"\n')


def lose(project, *steps, during="began"):
    """Run the steps; the host `one` loses its power in the middle of `slow`. The run, which is over."""
    playbook = project.playbook(*steps)
    impatient(project)
    with project.started("apply", playbook, "--yes") as process:
        eventually(project.on("one", during).exists, during=process)
        project.fleet.kill("one", commands=True)
        said, _ = process.communicate(timeout=200)
    assert process.returncode == 4, said
    project.fleet.restart("one")
    return project.show()


def test_after_a_lost_host_the_operators_word_lets_the_run_go_on(project):
    use = step("second", "echo {{ outputs.slow.stdout }} >> second", undo="rm -f second", hosts="one")
    run = lose(project, step("slow", SLOW, undo="rm -f slow", hosts="one"), use)
    assert run.states["slow@one"] == "unknown"
    shown = project.opsflow("show", run.id).out
    assert f"opsflow mark {run.id} slow@one succeeded|failed|skipped|reverted --why TEXT" in shown

    why = "the file is complete ☃"
    marked = project.opsflow(
        "mark", run.id, "slow@one", "succeeded", "--why", why, "--output", "stdout=done", "--output", "n:=[1, 2]"
    )
    assert marked.out == "slow@one was unknown and is succeeded now\n"
    assert f"next: opsflow resume {run.id}" in marked.err
    project.opsflow("resume", run.id)

    run = project.show(run.id)
    assert run.state == "succeeded"
    assert run.nodes["slow@one"]["outputs"] == {"stdout": "done", "n": [1, 2]}
    assert [attempt["state"] for attempt in run.nodes["slow@one"]["attempts"]] == ["succeeded"]
    assert project.on("one", "second").read_text() == "done\n"
    assert "slow" not in project.files()["one"], "nothing was run again"
    (request,) = run.data["requests"]
    assert request["what"] == "mark"
    assert request["operator"].startswith(f"{getpass.getuser()}@")
    assert request["data"]["why"] == why
    assert request["asked"] <= request["applied"]
    assert f"slow@one marked succeeded by {request['operator']}" in project.opsflow("show", run.id).out
    assert why in project.opsflow("show", run.id).out


def test_marked_failed_the_resume_puts_back_what_it_had_begun(project):
    run = lose(
        project,
        step("first", "echo x >> first", undo="rm -f first", hosts="one"),
        step("slow", SLOW, undo="echo x >> undone", hosts="one"),
    )
    marked = project.opsflow("mark", run.id, "slow@one", "failed", "--why", "half of it", "--output", "json").json
    assert (marked["before"], marked["state"]) == ("unknown", "failed")
    project.opsflow("resume", run.id, code=3)
    assert project.show(run.id).state == "rolled_back"
    assert project.files()["one"] == {"began": 0, "undone": 1}
    error = project.show(run.id).nodes["slow@one"]["error"]
    assert error["kind"] == "Marked"
    assert "half of it" in error["message"]


def test_marked_reverted_a_rollback_comes_to_its_end_over_what_cannot_be_undone(project):
    run = lose(
        project,
        step("first", "echo x >> first", undo="rm -f first", hosts="one"),
        step("slow", SLOW, hosts="one"),
    )
    project.opsflow("rollback", run.id, "--yes", code=4)
    assert project.show(run.id).state == "rollback_incomplete"
    assert "first" in project.files()["one"]

    marked = project.opsflow("mark", run.id, "slow@one", "reverted", "--why", "put back by hand")
    assert f"next: opsflow rollback {run.id}" in marked.err
    project.opsflow("rollback", run.id, "--yes")

    assert project.show(run.id).state == "rolled_back"
    assert "first" not in project.files()["one"]
    project.opsflow("apply", project.playbook(step("next", "true", undo="true")), "--yes")  # its hosts are free


def test_a_mark_while_the_run_is_driven_is_taken_up_by_its_process(project):
    impatient(project)
    own = {"per": "host", "needs": []}
    playbook = project.playbook(
        step("slow", SLOW, undo="rm -f slow", hosts="one", **own),
        step("other", "echo > there; while [ ! -e go ]; do sleep 0.05; done", undo="true", hosts="two", **own),
        step("second", "echo x >> second", undo="rm -f second", hosts="one", per="host", needs=["slow"]),
    )
    with project.started("apply", playbook, "--yes") as process:
        eventually(project.on("one", "began").exists, during=process)
        eventually(project.on("two", "there").exists, during=process)
        project.fleet.kill("one", commands=True)
        project.fleet.restart("one")
        eventually(lambda: project.show().states["slow@one"] == "unknown", during=process, seconds=200)
        run = project.show()
        refused = project.opsflow("mark", run.id, "other@two", "succeeded", "--why", "no", "--output", "json", code=2)
        assert "other@two is running: only a node that is unknown" in refused.error["message"]
        marked = project.opsflow("mark", run.id, "slow@one", "succeeded", "--why", "seen")
        assert "slow@one was unknown and is succeeded now" in marked.out
        assert process.poll() is None
        project.on("two", "go").touch()
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 1, said
    run = project.show(run.id)
    assert run.states == {"slow@one": "succeeded", "other@two": "succeeded", "second@one": "blocked"}
    project.opsflow("resume", run.id)
    assert project.show(run.id).state == "succeeded"
    assert project.files()["one"] == {"began": 0, "second": 1}


def test_what_cannot_be_marked_is_refused_with_the_reason(project):
    playbook = project.playbook(
        step("first", "echo x >> first", undo="rm -f first", hosts="one"),
        step("fails", "exit 9", undo="true", hosts="one", on_failure="halt"),
    )
    project.opsflow("apply", playbook, "--yes", code=1)
    run = project.show().id

    def refused(*arguments):
        return project.opsflow("mark", run, *arguments, code=2).err

    assert "first@one is succeeded: only a node that is unknown" in refused("first@one", "failed", "--why", "x")
    assert "fails@one is failed: it can be marked" in refused("fails@one", "failed", "--why", "x")
    assert "has no node fail@one" in refused("fail@one", "skipped", "--why", "x")
    assert "fails@one" in refused("fail@one", "skipped", "--why", "x"), "did you mean"
    assert "--why" in refused("fails@one", "skipped", "--why", " ")
    assert "--why" in refused("fails@one", "skipped")
    assert "only a node that is marked succeeded has outputs" in refused(
        "fails@one", "skipped", "--why", "x", "--output", "a=b"
    )
    assert "neither NAME=VALUE nor one of" in refused("fails@one", "skipped", "--why", "x", "--output", "xml")
    assert "--output a:=: not a TOML value" in refused("fails@one", "succeeded", "--why", "x", "--output", "a:=")
    assert not project.show(run).data["requests"], "what is wrong is not kept"

    project.opsflow("mark", run, "fails@one", "skipped", "--why", "not needed here")
    project.opsflow("resume", run)
    assert project.show(run).state == "succeeded"
    assert "is over" in project.opsflow("mark", run, "fails@one", "reverted", "--why", "x", code=2).err


def test_marked_reverted_outside_of_a_rollback_only_a_rollback_is_offered(project):
    run = lose(
        project,
        step("first", "echo x >> first", undo="rm -f first", hosts="one"),
        step("slow", SLOW, undo="rm -f slow", hosts="one"),
        step("last", "echo x >> last", undo="rm -f last", hosts="one"),
    )
    marked = project.opsflow("mark", run.id, "slow@one", "reverted", "--why", "put back by hand")
    assert marked.err == f"next: opsflow rollback {run.id}\n"
    assert project.opsflow("show", run.id).out.endswith(f"next: opsflow rollback {run.id}\n")
    resumed = project.opsflow("resume", run.id, code=1)
    assert resumed.err.endswith(f"next: opsflow rollback {run.id}\n")
    project.opsflow("rollback", run.id, "--yes")
    assert project.show(run.id).state == "rolled_back"
    assert project.files()["one"] == {"began": 0}
