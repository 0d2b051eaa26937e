"""What commands print is in the journal exactly once, however often the controller is killed while they print."""

import json
import random

from opsflow.model import RunState

SECRET = "pińata-\U0001f980-of-gold"
"""Its bytes are cut anywhere, by the way they are printed."""

TALK = """
n=0
say() { printf "$@" | tee -a witness-out; }
until [ -e go ] && [ "$n" -ge 40 ]; do
    n=$((n + 1))
    say '%d: za\\305'; say '\\274\\303\\263'; say '\\305\\202\\304\\207 '
    say "%.$((n % 17))s" "$WORD"; say '%s %s' "$WORD" "$WORD"; say "\\n"
    printf '%d\\n' "$n" | tee -a witness-err >&2
    sleep 0.02
done
say "the end, without a newline"
"""

PLAY = f"""
[[step]]
id = "talk"
task = "command"
hosts = "all"
with = {{ run = {json.dumps(TALK)}, undo = "true", env = {{ WORD = "{{{{ secret('file:word') }}}}" }} }}
"""


def printed(ground):
    """What `opsflow logs` says, by host and stream."""
    ended = ground.quick("logs", "--output", "jsonl")
    assert ended.code == 0, ended.text
    found = {}
    for line in map(json.loads, ended.text.splitlines()):
        assert not line["cut"]
        key = line["host"], line["stream"]
        found[key] = found.get(key, "") + line["text"]
    return found


def said(ground, host, name):
    return (ground.fleet.home(host) / name).read_bytes().decode("utf-8", "replace").replace(SECRET, "***")


def test_every_byte_is_journaled_once_whenever_the_controller_dies(ground, many):
    chance = random.Random(11)
    (ground.project / "word").write_text(SECRET)
    ground.playbook(PLAY)
    kills = 0
    for _ in range(2 * many):
        ground.wipe()
        forked = ground.fork("apply", "play.toml", "--yes")
        for _ in range(12):
            kills += ground.kill_fork(forked, line=1, delay=chance.uniform(0.0, 1.2)).code < 0
            forked = ground.fork("resume")
        ground.go()
        assert ground.end_fork(forked).code == 0
        assert ground.seen().run.state is RunState.SUCCEEDED
        found = printed(ground)
        for host in ground.fleet.names:
            assert found[host, "stdout"] == said(ground, host, "witness-out")
            assert found[host, "stderr"] == said(ground, host, "witness-err")
    print(f"{kills} kills")
    assert kills >= 20 * many
