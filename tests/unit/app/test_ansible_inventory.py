"""Runs over an inventory in Ansible's form: what it says is part of the plan, what it says that is not understood is told."""

import pytest

from opsflow.errors import InputError, PlanDrift
from opsflow.events import InventoryNoticed


@pytest.fixture
def of_ansibles(project):
    inventories = project.directory / "inventories"
    (inventories / "fleet.toml").unlink()
    (inventories / "fleet").write_text(
        "[web]\nweb-[1:2] ansible_connection=local\n[away]\nfar ansible_connection=winrm\n"
    )
    (inventories / "group_vars").mkdir()
    (inventories / "group_vars" / "web.yml").write_text('name: lines\nout: "{{ name }}"\npw: !vault x\n')
    return project


def steps(project):
    project.playbook(
        "".join(
            f'[[step]]\nid = "{name}"\ntask = "line"\nhosts = "{hosts}"\n{more}\nwith = {{ file = "{{{{ out }}}}"{params} }}\n'
            for name, hosts, more, params in [
                ("one", "web", "", ""),
                ("two", "web-1", 'on_failure = "halt"', ", fail = true"),
            ]
        )
    )


def test_it_runs_and_what_is_not_understood_is_told_once(of_ansibles):
    steps(of_ansibles)
    of_ansibles.mend()
    assert of_ansibles.apply().exit_code == 0
    assert of_ansibles.lines == ["one@web-1", "one@web-2", "two@web-1"]
    told = [event for event in of_ansibles.events if isinstance(event, InventoryNoticed)]
    assert [str(event.notice.position).rpartition("/")[2] for event in told] == ["web.yml:3:5", "fleet:4:5"]


def test_a_run_does_not_go_on_with_other_variables_of_a_group_unless_told(of_ansibles):
    steps(of_ansibles)
    assert of_ansibles.apply().exit_code == 1
    of_ansibles.mend()
    variables = of_ansibles.directory / "inventories" / "group_vars" / "web.yml"
    variables.write_text(variables.read_text().replace("name: lines", "name: others"))
    with pytest.raises(PlanDrift, match='host web-1, web-2, variable name: "lines" → "others"'):
        of_ansibles.resume()
    assert of_ansibles.resume(accept_changes=True).exit_code == 0
    assert (of_ansibles.directory / "others").read_text() == "two@web-1"


def test_a_host_that_nobody_can_reach_is_refused_only_where_it_is_used(of_ansibles):
    of_ansibles.steps(("one", "all"))
    with pytest.raises(InputError) as refused:
        of_ansibles.apply()
    (problem,) = refused.value.problems
    assert "it is not known how to reach far: `ansible_connection` is 'winrm'" in problem.message
    assert problem.position.file.endswith("play.toml")
