"""What the journal's promises rest on, each taken away, and the tests that must notice."""

from mutations import Mutation

_TESTS = "tests/contract/journal/"
_OWNERS = _TESTS + "test_ownership.py::"
_DURABLE = _TESTS + "test_durability.py::"
_SERVERS = _TESTS + "test_servers.py::"
_CONFLICT = _TESTS + "test_commit.py::test_a_conflict_leaves_nothing_of_its_commit"
_WRITER = "opsflow/journal/writer.py"

MUTATIONS = (
    Mutation(
        name="the commit of an intent before its act",
        file="opsflow/engine/loop.py",
        edits=(("        self._run.flush(patient=", "        if not acts:\n            self._run.flush(patient="),),
        tests=("tests/unit/engine/test_schedules.py::test_no_schedule_breaks_the_invariants[0]",),
    ),
    Mutation(
        name="the token of a run's writer",
        file=_WRITER,
        edits=(
            (
                "_FENCE = (\n    update(owners)\n",
                "_FENCE = (\n    update(owners).where(bindparam('b_token').is_not(None))\n",
            ),
            (
                'owners.c.token == bindparam("b_token"))\n    .values(serial',
                'owners.c.run == bindparam("b_run"))\n    .values(serial',
            ),
        ),
        tests=(_OWNERS + "test_an_abandoned_run_gives_its_hosts_up_and_its_writer_is_fenced[sqlite]",),
    ),
    Mutation(
        name="the token of a writer that listens",
        file="opsflow/journal/requests.py",
        edits=(("if not rows or rows[0].token != token:", "if not rows:"),),
        tests=(_TESTS + "test_requests.py::test_a_writer_that_lost_the_run_notices_when_it_listens[sqlite]",),
    ),
    Mutation(
        name="that a change of hands sets another token",
        file="opsflow/journal/lease.py",
        edits=(("epoch=owners.c.epoch + 1, **_mark(token, operator)", "epoch=owners.c.epoch + 1"),),
        tests=(_OWNERS + "test_the_earlier_writer_is_fenced[sqlite-commit]",),
    ),
    Mutation(
        name="the epoch",
        file="opsflow/journal/lease.py",
        edits=(("epoch=owners.c.epoch + 1, ", ""),),
        tests=(_OWNERS + "test_the_epoch_grows_with_every_change_of_hands[sqlite]",),
    ),
    Mutation(
        name="that a living writer keeps its run",
        file="opsflow/journal/lease.py",
        edits=(("    if not alive(row):\n        return\n", "    return\n"),),
        tests=(_OWNERS + "test_a_living_writer_is_not_disturbed[sqlite]",),
    ),
    Mutation(
        name="the age of a heartbeat",
        file="opsflow/journal/lease.py",
        edits=(("row.age <= STALE_SECONDS * 1_000_000", "row.age < 0"),),
        tests=(_OWNERS + "test_a_writer_on_another_machine_lives_as_long_as_it_is_heard[sqlite]",),
    ),
    Mutation(
        name="the hold on hosts",
        file="opsflow/journal/lease.py",
        edits=(("        connection.execute(insert(leases), rows)\n", "        pass\n"),),
        tests=(_OWNERS + "test_a_host_of_an_open_run_is_refused_with_its_holder[sqlite]",),
    ),
    Mutation(
        name="the state that a node is changed from",
        file=_WRITER,
        edits=(
            (
                'nodes.c.state == bindparam("b_before")',
                'bindparam("b_before", type_=nodes.c.state.type).is_not(None)',
            ),
        ),
        tests=(_CONFLICT + "[sqlite-a node in another state]",),
    ),
    Mutation(
        name="the state that a run is changed from",
        file=_WRITER,
        edits=(('runs.c.state == bindparam("b_before")', 'bindparam("b_before").is_not(None)'),),
        tests=(_CONFLICT + "[sqlite-the run in another state]",),
    ),
    Mutation(
        name="that an attempt ends once",
        file=_WRITER,
        edits=((").where(or_(*(attempts.c.state == state for state in OPEN)))", ")"),),
        tests=(_CONFLICT + "[sqlite-an outcome of an ended attempt]",),
    ),
    Mutation(
        name="the number of a commit",
        file=_WRITER,
        edits=(('    .where(owners.c.serial == bindparam("b_serial"))\n', ""),),
        tests=(_SERVERS + "test_a_commit_after_one_of_unknown_fate_is_not_taken_for_it[mariadb]",),
    ),
    Mutation(
        name="that a commit of unknown fate is looked for",
        file=_WRITER,
        edits=(("if again and owner.token", "if False and owner.token"),),
        tests=(_SERVERS + "test_a_commit_whose_answer_was_lost_is_written_exactly_once[postgresql-True]",),
    ),
    Mutation(
        name="that what collides is done again",
        file="opsflow/journal/database.py",
        edits=(("if lost or _is_deadlock(error) else None", "if lost else None"),),
        tests=(_SERVERS + "test_of_transactions_that_wait_for_each_other_one_is_done_again[postgresql]",),
    ),
    Mutation(
        name="that SQLite syncs",
        file="opsflow/journal/sqlite.py",
        edits=(("PRAGMA synchronous = FULL", "PRAGMA synchronous = NORMAL"),),
        tests=(_DURABLE + "test_sqlite_is_durable_and_private[version1-wal]",),
    ),
    Mutation(
        name="that SQLite logs ahead only where it is safe",
        file="opsflow/journal/sqlite.py",
        edits=(('"wal" if wal_is_safe(sqlite3.sqlite_version_info) else "truncate"', '"wal"'),),
        tests=(_DURABLE + "test_sqlite_is_durable_and_private[version0-truncate]",),
    ),
    Mutation(
        name="the look at InnoDB's log",
        file="opsflow/journal/servers.py",
        edits=(("if int(row.flush) != 1:", "if False:"),),
        tests=(_DURABLE + "test_a_mariadb_that_does_not_sync_its_log_is_refused[2]",),
    ),
    Mutation(
        name="the look at PostgreSQL's fsync",
        file="opsflow/journal/servers.py",
        edits=(('if connection.scalar(text("SHOW fsync")) == "on" else "fsync = off"', ""),),
        tests=(_DURABLE + "test_a_postgresql_that_does_not_sync_is_refused",),
    ),
    Mutation(
        name="that PostgreSQL waits for its log",
        file="opsflow/journal/servers.py",
        edits=(("set_config('synchronous_commit', 'on', false)", "NULL"),),
        tests=(_DURABLE + "test_a_session_of_postgresql_waits_for_the_log[off-on]",),
    ),
    Mutation(
        name="that a first opening which died is gone on with",
        file="opsflow/journal/upgrade.py",
        edits=((" and database.read(_has_runs):", ":"),),
        tests=(
            _TESTS
            + "test_upgrades.py::test_the_first_opening_that_died_between_two_migrations_is_done_again[mariadb-0001]",
        ),
    ),
    Mutation(
        name="that what an open run needs is not pruned",
        file="opsflow/journal/pruning.py",
        edits=(("        needed |= {", "        {"),),
        tests=(
            _TESTS
            + "test_housekeeping.py::test_an_open_run_stays_and_so_does_what_changed_its_hosts_after_it[sqlite-running]",
        ),
    ),
    Mutation(
        name="the look whether a run is as it was before it is removed",
        file="opsflow/journal/pruning.py",
        edits=(("    if holds or run != run_of(", "    if holds or not run_of("),),
        tests=(_TESTS + "test_housekeeping.py::test_a_run_that_somebody_has_gone_on_with_since_stays[sqlite]",),
    ),
)
