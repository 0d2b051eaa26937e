"""Ctrl-C, a controller that is killed, a host that is lost: what ran ends, nothing runs twice, and the run goes on."""

import signal
import time

from command_line import Shown, eventually, step

FIRST = step("first", "echo x >> first", undo="rm -f first")
SECOND = step("second", "echo x >> second", undo="rm -f second")
FAILS = step("fails", "exit 9", undo="true", hosts="two")


def test_ctrl_c_lets_what_runs_end_and_the_run_is_resumed(project):
    playbook = project.playbook(step("slow", "echo > began; sleep 1; echo x >> slow", undo="rm -f slow"), SECOND)
    with project.started("apply", playbook, "--yes") as process:
        eventually(lambda: all(project.on(host, "began").exists() for host in ("one", "two")), during=process)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)

    assert process.returncode == 130, said
    assert "stopping: waiting for" in said
    run = project.show()
    assert run.state == "suspended"
    assert f"opsflow resume {run.id}" in said
    assert run.states == {
        **{f"slow@{host}": "succeeded" for host in ("one", "two")},
        **{f"second@{host}": "pending" for host in ("one", "two")},
    }
    assert project.files()["one"] == {"began": 0, "slow": 1}

    project.opsflow("resume")

    assert project.show().id == run.id
    assert project.show().state == "succeeded"
    assert project.files()["one"] == {"began": 0, "slow": 1, "second": 1}


def test_ctrl_c_twice_lets_go_at_once_while_commands_go_on(project):
    playbook = project.playbook(
        step("slow", "echo > began; sleep 4; echo x >> slow", creates="slow", undo="rm -f slow", hosts="one"), SECOND
    )
    with project.started("apply", playbook, "--yes") as process:
        eventually(project.on("one", "began").exists, during=process)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert not project.on("one", "slow").exists(), "it waited for the command"
    run = project.show()
    assert run.state == "suspended"
    assert run.states["slow@one"] == "running"
    assert f"opsflow resume {run.id}" in said

    eventually(project.on("one", "slow").exists)
    project.opsflow("resume", run.id)

    assert project.show(run.id).state == "succeeded"
    assert project.files()["one"] == {"began": 0, "slow": 1, "second": 1}


def test_ctrl_c_in_the_middle_of_a_rollback_is_followed_by_the_rest_of_it(project):
    undo = "echo > undoing; sleep 1; rm -f slow"
    playbook = project.playbook(FIRST, step("slow", "echo x >> slow", undo=undo, hosts="one"), FAILS)
    with project.started("apply", playbook, "--yes") as process:
        eventually(project.on("one", "undoing").exists, during=process)
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 130, said
    run = project.show()
    assert run.states["slow@one"] == "reverted"
    assert {run.states[f"first@{host}"] for host in ("one", "two")} <= {"succeeded", "reverted"}
    assert project.files()["one"] == {"undoing": 0, "first": 1}

    project.opsflow("resume", run.id, code=3)

    assert project.show(run.id).state == "rolled_back"
    assert project.files() == {"one": {"undoing": 0}, "two": {}}


def test_a_killed_controllers_run_is_resumed(project):
    playbook = project.playbook(
        step("slow", "echo > began; sleep 2; echo x >> slow", creates="slow", undo="rm -f slow", hosts="one"), SECOND
    )
    with project.started("apply", playbook, "--yes") as process:
        eventually(project.on("one", "began").exists, during=process)
        process.kill()
        process.communicate(timeout=60)
    run = project.show()
    assert run.state == "running"
    eventually(project.on("one", "slow").exists)

    resumed = project.opsflow("resume", run.id, "--output", "json")

    assert Shown(resumed.json).state == "succeeded"
    assert project.files()["one"] == {"began": 0, "slow": 1, "second": 1}


def test_a_command_whose_connection_was_cut_is_followed_to_its_end(project):
    playbook = project.playbook(
        step("slow", "echo > began; sleep 2; echo x > slow", creates="slow", undo="rm -f slow", hosts="one"), SECOND
    )
    with project.started("apply", playbook, "--yes") as process:
        eventually(project.on("one", "began").exists, during=process)
        project.fleet.cut("one")
        said, _ = process.communicate(timeout=60)
    assert process.returncode == 0, said
    assert len(project.show().attempts(step="slow")["slow@one"]) == 1
    assert project.files()["one"] == {"began": 0, "slow": 1, "second": 1}
