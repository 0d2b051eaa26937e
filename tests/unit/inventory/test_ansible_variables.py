"""Ansible's connection variables, and what of its inventories is not understood."""

import pytest

from opsflow.errors import InputError
from opsflow.inventory import load
from opsflow.model import Connection
from opsflow.playbook import TemplateRenderer


@pytest.fixture
def loaded(tmp_path):
    """Load files, the first of which is the inventory."""

    def loaded(files):
        files = {"hosts": files} if isinstance(files, str) else files
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        renderer = TemplateRenderer(directory=str(tmp_path), hosts=lambda _: [])
        return load(str(tmp_path / next(iter(files))), project=tmp_path, renderer=renderer)

    return loaded


def connection(inventory, host="h"):
    return inventory.hosts[host].connection


def notices(inventory):
    return [(notice.message, notice.position and notice.position.line) for notice in inventory.notices]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("ansible_host=10.0.0.1 ansible_port=2222 ansible_user=ops", {"address": "10.0.0.1", "port": 2222, "user": "ops"}),
        ("ansible_ssh_host=b ansible_ssh_port=22 ansible_ssh_user=o", {"address": "b", "port": 22, "user": "o"}),
        ("ansible_host=a ansible_ssh_host=b", {"address": "b"}),
        ("ansible_ssh_private_key_file=/k", {"key_file": "/k"}),
        ("ansible_connection=local", {"transport": "local"}),
        ("ansible_connection=paramiko", {}),
        ("ansible_timeout=7", {"connect_timeout": 7.0}),
        ("ansible_become=yes", {"become": "root"}),
        ("ansible_become=true ansible_become_user=postgres", {"become": "postgres"}),
        ("ansible_become=no ansible_become_user=postgres", {}),
        ("ansible_become_password=\"{{ lookup('env', 'PW') }}\"", {"become_password": "env:PW"}),
        ("ansible_become_pass=\"{{ secret('file:pw') }}\"", {"become_password": "file:pw"}),
        ("ansible_ssh_common_args='-J ops@b1,b2:2222'", {"jump": ("ops@b1", "b2:2222")}),
        ("ansible_ssh_common_args='-o ProxyJump=b'", {"jump": ("b",)}),
        ("ansible_ssh_common_args='-oProxyCommand=\"ssh -q -W %h:%p -p 2222 -l ops b\"'", {"jump": ("ops@b:2222",)}),
        ("ansible_ssh_common_args='-o \"ConnectTimeout 3\" -o ServerAliveInterval=9'", {"connect_timeout": 3.0, "keepalive": 9.0}),
        ("ansible_ssh_extra_args='-i /k -p 7 -l o -o ControlMaster=auto -C'", {"key_file": "/k", "port": 7, "user": "o"}),
    ],
)  # fmt: skip
def test_connection_variables_are_understood(loaded, said, expected):
    inventory = loaded(f"h {said}\n")
    assert connection(inventory) == Connection(**{"address": "h"} | expected)
    assert notices(inventory) == []


def test_a_connection_variable_may_be_a_template_of_others(loaded):
    files = {
        "hosts": '[web]\nweb-1.example ansible_port="{{ base + 1 }}"\n[web:vars]\nbase=2200\n',
        "group_vars/web.yml": 'ansible_host: "{{ inventory_hostname_short }}.{{ domain }}"\ndomain: "{{ group_names[0] }}.internal"\n',
    }
    found = connection(loaded(files), "web-1.example")
    assert (found.address, found.port) == ("web-1.web.internal", 2201)


def test_variables_come_between_the_tables_for_all_hosts_and_for_one(loaded):
    inventory = loaded(
        {
            "inv.toml": '[ssh]\nuser = "all"\nport = 1\n[groups.g]\nhosts = ["a", "b"]\nvars = { ansible_user = "group" }\n'
            '[hosts.b]\nuser = "own"\n'
        }
    )
    assert [(connection(inventory, host).user, connection(inventory, host).port) for host in "ab"] == [
        ("group", 1),
        ("own", 1),
    ]


def test_a_host_whose_way_cannot_be_told_is_listed_and_refused_where_it_is_used(loaded):
    inventory = loaded('ok\nh ansible_host="{{ nowhere }}"\nd ansible_connection=docker\n')
    assert list(inventory.hosts) == ["ok", "h", "d"]
    assert [line for _, line in notices(inventory)] == [2, 3]
    assert [host.name for host in inventory.select("ok")] == ["ok"]
    with pytest.raises(InputError) as caught:
        inventory.select("all")
    first, second = [problem.message for problem in caught.value.problems]
    assert first.startswith("it is not known how to reach h: `ansible_host` cannot be told: `{{ nowhere }}`")
    assert first.endswith("hosts:2:3)")
    assert "`ansible_connection` is 'docker': there are the connections ssh and local" in second


@pytest.mark.parametrize(
    "name", ["ansible_password", "ansible_ssh_pass", "ansible_become_pass", "ansible_become_password"]
)
def test_a_password_is_no_variable_and_is_not_repeated(loaded, name):
    inventory = loaded(f"[g]\nh {name}=hunter2 x=1\n")
    assert inventory.hosts["h"].vars == {"x": 1}
    assert connection(inventory) == Connection(address="h")
    (notice,) = inventory.notices
    assert f"`{name}` is not heeded" in notice.message
    assert notice.position.line == 2
    assert "hunter2" not in str(notice)


def test_what_is_not_understood_is_told_once_with_its_place_and_is_not_there(loaded):
    inventory = loaded(
        {
            "hosts.yml": "web:\n  hosts:\n    a:\n      pw: !vault |\n        $ANSIBLE_VAULT;1.1;AES256\n        30\n"
            "      deep: {list: [1, !vault x]}\n      x: 1\n    b:\n      pw: !vault x\n  vars: {pw: weak, deep: weak}\n"
        }
    )
    assert inventory.hosts["a"].vars == {"x": 1}
    assert inventory.hosts["b"].vars == {"deep": "weak"}
    message = "a `!vault` value is not understood: the variable is not there (and in 2 more places)"
    assert notices(inventory) == [(message, 4)]


def test_an_encrypted_file_of_variables_is_told(loaded):
    files = {"hosts": "[web]\nh x=1\n", "group_vars/web.yml": "$ANSIBLE_VAULT;1.1;AES256\n6133\n"}
    inventory = loaded(files)
    assert inventory.hosts["h"].vars == {"x": 1}
    assert notices(inventory) == [
        ("a file that ansible-vault has encrypted is not understood: its variables are not there", 1)
    ]


def test_a_text_that_is_unsafe_is_never_a_template(loaded, tmp_path):
    inventory = loaded(
        {"h.yml": "all:\n  hosts:\n    h:\n      x: !unsafe '{{ \"q\" }} \\ {% raw'\n      y: !unsafe plain\n"}
    )
    variables = inventory.hosts["h"].vars
    renderer = TemplateRenderer(directory=str(tmp_path), hosts=lambda _: [])
    assert renderer.render(variables["x"], variables, {}) == '{{ "q" }} \\ {% raw'
    assert variables["y"] == "plain"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("ansible_become_method=su", "`ansible_become_method` is 'su': other users' work is done by sudo"),
        ("ansible_become_flags=-H", "`ansible_become_flags` is not heeded: sudo has the options that opsflow gives it"),
        (
            "ansible_ssh_common_args='-o StrictHostKeyChecking=no'",
            "in `ansible_ssh_common_args`: host keys are always checked",
        ),
        ("ansible_ssh_args='-F other'", "in `ansible_ssh_args`: `-F` is not heeded"),
        ("ansible_ssh_args='-o Nothing=1'", "in `ansible_ssh_args`: `-o Nothing` is not heeded"),
        ("item=3", "the variable `item` is hidden: templates see something else under that name"),
    ],
)
def test_what_is_not_heeded_is_told(loaded, said, message):
    assert (message, 1) in notices(loaded(f"h {said}\n"))


def test_a_way_that_is_not_understood_leads_nowhere(loaded):
    inventory = loaded("h ansible_ssh_common_args='-o ProxyCommand=\"nc -X 5 -x proxy %h %p\"'\n")
    with pytest.raises(InputError, match="ProxyCommand is not understood"):
        inventory.select("h")


def test_of_two_files_for_one_group_the_one_that_is_not_read_is_told(loaded):
    inventory = loaded({"hosts": "[web]\nh\n", "group_vars/web.yml": "x: 1\n", "group_vars/web/a.yml": "y: 1\n"})
    assert inventory.hosts["h"].vars == {"y": 1}
    (notice,) = inventory.notices
    assert notice.message.endswith("group_vars/web.yml: this is not read: `web` stands beside it")


def test_variables_beside_a_native_inventory_count_too(loaded):
    inventory = loaded({"i.toml": '[groups.web]\nhosts = ["h"]\nvars = { x = 1 }\n', "group_vars/web.yml": "x: 2\n"})
    assert inventory.hosts["h"].vars == {"x": 2}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("hosts", "h ansible_ssh_pass=hunter2 ansible_port=none\n"),
        ("hosts", "h ansible_become_password=hunter2 alone\n"),
        ("hosts", "[g]\nh db_password='hunter2\n"),
        ("i.yml", 'web: {hosts: {h: {"ansible_password": "hunter2", ansible_port: none}}}\n'),
        ("i.toml", "hosts.a = { port = 'x', become_password = 'hunter2' }\n"),
        ("i.toml", "[hosts.a]\nkey_passphrase = 'hunter2\n"),
    ],
)
def test_a_line_with_a_password_is_not_shown(loaded, name, text):
    with pytest.raises(InputError) as caught:
        loaded({name: text})
    assert "hunter2" not in str(caught.value)
    assert all(problem.position for problem in caught.value.problems)


def test_half_a_character_is_none(loaded):
    assert loaded("h x=\"'\\ud800'\"\n").hosts["h"].vars["x"] == "?"
