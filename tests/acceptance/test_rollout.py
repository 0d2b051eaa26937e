"""`[rollout]` at the command line: what is shown, what a killed controller leaves, and what changed files mean."""

import signal

from command_line import eventually, step

HOLD = "echo x >> began; while [ ! -e go ]; do sleep 0.05; done"


def rollout(**more):
    said = {"by": '"host"', "hosts": '"*"', "batches": "[1]"} | more
    return "[rollout]\n" + "".join(f"{key} = {value}\n" for key, value in said.items())


def local(project, *names):
    """An inventory of hosts that are this machine, each in a home of its own."""
    project.write("inventories/here.toml", "".join(f'[hosts.{name}]\ntransport = "local"\n' for name in names))
    return "here"


def test_killed_in_the_canary_the_run_goes_on_there_asks_and_takes_the_next_batch(project):
    playbook = project.playbook(
        step("hold", HOLD, undo="rm began"), step("two", "echo x >> two", undo="rm two"),
        head=rollout(pause='"approve"'),
    )  # fmt: skip
    shown = project.opsflow("plan", playbook)
    assert "somebody has to approve each batch but the first\n  batch 1: one\n  batch 2: two\n" in shown.out
    planned = project.opsflow("plan", playbook, "--output", "json").json
    assert planned["rollout"]["batches"] == [["one"], ["two"]]
    assert {node["id"]: node["batch"] for node in planned["nodes"]} == {
        "hold@one": 1, "two@one": 1, "hold@two": 2, "two@two": 2, "batch/2@localhost": None,
    }  # fmt: skip
    with project.started("apply", playbook, "--yes") as controller:
        eventually(project.on("one", "began").exists, during=controller)
        controller.send_signal(signal.SIGKILL)
        controller.wait(timeout=60)
    for host in ("one", "two"):
        project.on(host, "go").touch()
    project.opsflow("resume", code=7)
    run = project.show()
    assert not project.on("two", "began").exists()
    assert run.states["two@one"] == "succeeded"
    project.opsflow("approve", run.id, "--why", "the canary is well")
    project.opsflow("resume")
    assert project.files()["one"] | {"go": 0} == project.files()["two"] | {"go": 0} == {"began": 1, "two": 1, "go": 0}


def test_a_rollout_that_stopped_goes_on_at_the_operators_word_with_hosts_that_joined_behind(project):
    inventory = local(project, "b", "c")
    bad = project.directory / "bad"
    bad.touch()
    playbook = project.playbook(
        step("one", f"[ {{{{ host }}}} != b ] || [ ! -e {bad} ]", undo="true"), head=rollout(batches="[1, 5]")
    )
    ended = project.opsflow("apply", playbook, "-i", inventory, "--yes", code=1)
    assert "rollout stopped: b failed, and none may; 1 batch not begun" in ended.err
    assert project.show().states == {"one@b": "reverted", "one@c": "pending"}
    told = project.opsflow("show").out
    assert "batch 1 of 2: failed: b\nnot begun: 1 of 2 batches: c\n" in told
    assert [(batch["state"], batch["failed"]) for batch in project.show().data["batches"]] == [
        ("done", ["b"]), ("pending", []),
    ]  # fmt: skip
    local(project, "a", "b", "c")
    assert "one@a" in project.opsflow("resume", code=2).err
    ended = project.opsflow("resume", "--accept-changes", code=3)
    assert "batch 2 of 3: c" in ended.err
    assert "batch 3 of 3: a" in ended.err
    assert project.show().states == {"one@b": "reverted", "one@c": "succeeded", "one@a": "succeeded"}
    assert "batch 1 of 3: failed: b\nbatch 2 of 3: done: c\nbatch 3 of 3: done: a\n" in project.opsflow("show").out


def test_what_has_begun_cannot_come_into_another_batch(project):
    inventory = local(project, "a", "b", "c")
    steps = [step("one", "[ {{ host }} != b ]", undo="true")]
    project.opsflow("apply", project.playbook(*steps, head=rollout()), "-i", inventory, "--yes", code=1)
    project.playbook(*steps, head=rollout(batches="[3]"))
    told = project.opsflow("resume", code=2).err
    assert "~ playbook, rollout.batches: [1] → [3]" in told
    refused = project.opsflow("resume", "--accept-changes", code=2).err
    assert "part of the run has begun, and batches that have begun would be in another order now" in refused
    assert "put [rollout], and the variable that it is by, back" in refused
