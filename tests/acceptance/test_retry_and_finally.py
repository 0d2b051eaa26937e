"""`retry.vary`, `retry.revert_between` and `finally` on real hosts, with controllers that are killed in the middle."""

import signal

from command_line import eventually, step

WAIT = "until [ -e {} ]; do sleep 0.05; done"
TRIED = (
    "echo {{ mirror }} >> tried; touch began-{{ mirror }}; "
    + WAIT.format("go-{{ mirror }}")
    + "; echo {{ mirror }}; [ {{ mirror }} = c ]"
)
UNDONE = "echo {{ mirror }} >> undone; touch undoing-{{ mirror }}; " + WAIT.format("back-{{ mirror }}")
GET = step("get", TRIED, undo=UNDONE, hosts="one", retry={"vary": {"mirror": ["a", "b", "c"]}, "revert_between": True})
SAYS = "echo {{ steps.get.state }} {{ outputs.get.stdout | default('nothing') }} >> said"


def last(name, run, **keys):
    return step(name, run, **{"finally": True}, **keys)


def kill_when(project, name, *command):
    """Start a command and kill it once a file is there."""
    with project.started(*command) as controller:
        eventually(project.on("one", name).exists, during=controller)
        controller.send_signal(signal.SIGKILL)
        controller.wait(timeout=60)


def test_killed_in_an_attempt_and_in_its_revert_the_run_goes_on_with_the_next_value(project):
    playbook = project.playbook(GET, last("say", SAYS))
    kill_when(project, "began-a", "apply", playbook, "--yes")
    project.on("one", "go-a").touch()
    kill_when(project, "undoing-a", "resume")
    project.on("one", "back-a").touch()
    kill_when(project, "began-b", "resume")
    assert not project.on("one", "said").exists(), "an interrupted run has not come to its end"
    for name in ("go-b", "back-b", "go-c"):
        project.on("one", name).touch()
    project.opsflow("resume")

    assert project.on("one", "tried").read_text().split() == ["a", "b", "c"]
    undone = project.on("one", "undone").read_text().split()
    assert undone == sorted(undone), "a revert may be called again, and only before the next attempt"
    assert set(undone) == {"a", "b"}
    run = project.show()
    assert run.state == "succeeded"
    attempts = run.attempts(step="get")["get@one"]
    assert [(a["n"], a["state"], a["vary"]) for a in attempts] == [
        (1, "failed", {"mirror": "a"}),
        (2, "failed", {"mirror": "b"}),
        (3, "succeeded", {"mirror": "c"}),
    ]
    for host in ("one", "two"):
        assert project.on(host, "said").read_text() == "succeeded c\n"
    assert "execute 2 failed" in project.opsflow("show").out
    assert "mirror=b" in project.opsflow("show").out


def test_what_runs_at_the_end_runs_after_the_rollback_and_is_followed_when_its_controller_is_killed(project):
    playbook = project.playbook(
        step("change", "touch changed", undo="rm changed"),
        last("say", "echo {{ steps.change.state }} >> said; touch saying; " + WAIT.format("go"), hosts="one"),
        step("fails", "exit 9", undo="true", hosts="two"),
    )
    plan = project.opsflow("plan", playbook).out
    assert "3. say  finally" in plan
    kill_when(project, "saying", "apply", playbook, "--yes")
    assert not project.on("one", "changed").exists()
    project.on("one", "go").touch()
    project.opsflow("resume", code=3)
    run = project.show()
    assert (run.state, run.states["say@one"]) == ("rolled_back", "succeeded")
    assert project.on("one", "said").read_text() == "reverted\n"


def test_an_end_that_failed_is_made_good_by_a_resume(project):
    playbook = project.playbook(
        step("change", "touch changed; exit 9", undo="rm changed"), last("mend", "[ -e ready ] && touch mended")
    )
    ended = project.opsflow("apply", playbook, "--yes", code=1)
    run = project.show()
    assert run.state == "rolled_back"
    assert f"then opsflow resume {run.id}" in ended.err
    for host in ("one", "two"):
        project.on(host, "ready").touch()
    project.opsflow("resume", code=3)
    assert project.files() == {host: {"ready": 0, "mended": 0} for host in ("one", "two")}
    assert "nothing to go on with" in project.opsflow("resume", code=2).err
