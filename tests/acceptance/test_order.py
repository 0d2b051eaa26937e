"""What runs beside what, and what waits for what: from the journal's times of real runs."""

import random
from datetime import datetime

import pytest
from upgrade_site import PLAYBOOK

SHARDS = ("a", "b")

# Between backup and migration shard b does something that takes its time.
PAUSE = """
[[step]]
id = "check"
task = "command"
hosts = "db"
needs = ["backup"]
with = {{ run = "{{{{ '{slow}' if shard == 'b' else 'true' }}}}", changes = false }}

[[step]]
id = "migrate"
"""

# Shard b waits for this, a minute at most: it would never come if shard a waited for shard b.
SIGN = """
[[step]]
id = "sign"
task = "command"
hosts = "game"
needs = ["start"]
when = "shard == 'a'"
with = {{ run = "touch {sign}", changes = false }}
"""
WAIT = "n=0; until test -e {sign} || [ $n = 600 ]; do sleep 0.1; n=$((n + 1)); done; test -e {sign}"


@pytest.fixture(scope="module")
def playbook(site):
    """`playbook(per)`: the upgrade with a slow shard."""
    # Databases that take their time to be backed up.
    noise = random.Random(5).randbytes(4 * 1024 * 1024).hex()
    for database in site.databases.values():
        database.execute("CREATE TABLE noise (text TEXT)")
        database.execute(f"INSERT INTO noise VALUES ('{noise}')")

    def make(per):
        text = (site.directory / PLAYBOOK).read_text()
        sign = site.directory / "sign"
        slow = WAIT.format(sign=sign) if per == "shard" else "sleep 2"
        for old, new in (
            ('[[step]]\nid = "migrate"\n', PAUSE.format(slow=slow)),
            ('needs = ["backup"]\n\n[step.with]', 'needs = ["check"]\n\n[step.with]'),
            ('per = "shard"', f'per = "{per}"'),
        ):
            assert text.count(old) == 1
            text = text.replace(old, new)
        text += SIGN.format(sign=sign) if per == "shard" else ""
        return site.write(f"playbooks/per-{per}.toml", text)

    return make


@pytest.fixture
def upgraded(site, playbook):
    """`upgraded(per)`: what the journal has of an upgrade, which is put back at the end."""

    def upgrade(per):
        site.upgrade("2.0", playbook=playbook(per))
        return site.show()

    yield upgrade
    site.opsflow("rollback", "--yes")


def test_backup_and_deploy_of_a_shard_overlap_and_shards_do_not_wait_for_each_other(upgraded):
    run = upgraded("shard")

    for shard in SHARDS:
        (backup,) = _attempts(run, "backup", shard)
        beside = [
            deploy
            for deploy in _attempts(run, "deploy", shard)
            if deploy["started"] < backup["finished"] and backup["started"] < deploy["finished"]
        ]
        assert beside, f"no deploy of shard {shard} ran while its database was backed up"
    # The quick shard plays again before the slow one is migrated.
    assert max(run.times("finished", step="start", shard="a")) < min(run.times("started", step="migrate", shard="b"))


def test_a_barrier_waits_for_every_host(upgraded):
    run = upgraded("all")

    assert max(run.times("finished", step="stop")) <= min(run.times("started", step="backup"))
    assert max(run.times("finished", step="check")) <= min(run.times("started", step="migrate"))
    assert max(run.times("finished", step="migrate")) <= min(run.times("started", step="start"))
    # It had something to wait for: shard a was backed up long before.
    (checked,) = run.times("finished", step="check", shard="a")
    (migrated,) = run.times("started", step="migrate", shard="a")
    assert _seconds(migrated) - _seconds(checked) > 1


def _attempts(run, step, shard):
    return [attempt for found in run.attempts(step=step, shard=shard).values() for attempt in found]


def _seconds(text):
    return datetime.fromisoformat(text).timestamp()
