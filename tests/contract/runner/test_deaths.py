"""Operations happen once, whoever dies: the witness on the target counts."""

import os
import random
import signal
import threading
import time

import pytest
from runner_ground import Ground, die_often, parts, verdict, work

NUMBERS = 5


def names(count):
    return [f"attempt{n}" for n in range(count)]


def test_the_controller_dies_at_random_moments(ground, shell, many):
    ground.epoch = 0
    chance = random.Random(7)
    attempts = names(30 * many)
    deaths = die_often(ground, shell, attempts, NUMBERS, lambda: chance.uniform(0.02, 0.15))
    bad, unknown = verdict(ground, attempts, NUMBERS)
    print(f"{len(attempts) * NUMBERS} operations, {deaths} deaths")
    assert bad == []
    assert unknown == []
    assert deaths > 3


@pytest.mark.parametrize("part", ["relay", "mouth", "any"])
def test_parts_of_the_runner_die_at_random_moments(ground, shell, many, part):
    """Only a slot that dies takes the knowledge of its operation along."""
    chance = random.Random(11)
    attempts = names(40 * many)
    through = threading.Event()
    deaths = 0

    def kill():
        nonlocal deaths
        while not through.wait(chance.uniform(0.01, 0.1)):
            found = parts(ground)
            if len(found) == 6:
                victim = {"relay": found[0], "mouth": found[5], "any": chance.choice(found)}[part]
                try:
                    os.kill(victim, signal.SIGKILL)
                    deaths += 1
                except ProcessLookupError:
                    pass

    killer = threading.Thread(target=kill)
    killer.start()
    work(ground, attempts, NUMBERS)
    through.set()
    killer.join()
    bad, unknown = verdict(ground, attempts, NUMBERS)
    print(f"{len(attempts) * NUMBERS} operations, {deaths} deaths, {len(unknown)} unknown")
    assert bad == []
    assert deaths > 0
    assert len(unknown) <= (deaths if part == "any" else 0), unknown


def test_nothing_is_left_running_when_all_is_over(ground):
    work(ground, names(2), 2)
    ends = time.monotonic() + 5
    while ground.processes() and time.monotonic() < ends:
        time.sleep(0.02)
    assert ground.processes() == []


def test_two_controllers_at_once_run_nothing_twice(tmp_path, shell):
    """The later owner shuts the earlier one out; whatever both send happens once."""
    ground = Ground(tmp_path / "target", shell)
    ground.epoch = 1
    attempts = names(6)
    first, second = ground.transport(), ground.transport()
    place = first.claim(ground.run, 1)
    (ground.home / "place").write_text(place)
    later = Ground.__new__(Ground)
    later.__dict__ |= ground.__dict__
    later.epoch = 2
    later.results = ground.home / "later"
    threads = [
        threading.Thread(target=work, args=(ground, attempts, 3, first)),
        threading.Thread(target=lambda: (time.sleep(0.1), work(later, attempts, 3, second))),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bad, unknown = verdict(later, attempts, 3)
    ground.close()
    assert bad == []
    assert unknown == []
