"""What an operation's "at most once, and its fate is found out" rests on, each taken away, and the tests that must notice."""

from dataclasses import dataclass

RUNNER = "opsflow/transport/runner"
_CONTRACT = "tests/contract/runner/"
_SEVEN = _CONTRACT + "test_seven_failures.py::"
_POWER = _CONTRACT + "test_power_lost.py::"
_FILES = "tests/contract/transport/test_files.py::"
_REPLAY = "tests/unit/engine/test_replay.py::"


@dataclass(frozen=True, kw_only=True)
class Mutation:
    """A piece of text that is replaced.

    Attributes:
        name: What is taken away.
        file: Where; a directory: in one of its files.
        edits: (text that stands there exactly once, what it becomes) each.
        tests: Of which at least one must fail.
    """

    name: str
    file: str
    edits: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]


MUTATIONS = (
    Mutation(
        name="the gate",
        file=RUNNER,
        edits=(
            ('    elif ! true >"$file.go"; then\n', '    elif ! true >|"$file.go"; then\n'),
            ('    elif [ -e "$dir/$2.go" ]; then\n        printf \'A ', "    elif false; then\n        printf 'A "),
        ),
        tests=(_SEVEN + "test_5_a_file_is_put_once[dash-100]",),
    ),
    Mutation(
        name="that only one can make the gate",
        file=RUNNER,
        edits=(('    elif ! true >"$file.go"; then\n', '    elif ! true >|"$file.go"; then\n'),),
        tests=(_CONTRACT + "test_races.py::test_of_many_who_start_one_operation_at_once_exactly_one_does[dash]",),
    ),
    Mutation(
        name="the delivery number",
        file=RUNNER,
        edits=(('    [ "$2" -ge "$latest" ] || return 0\n', ""),),
        tests=(_CONTRACT + "test_deliveries.py::test_the_earlier_one_starts_nothing_more[dash]",),
    ),
    Mutation(
        name="the base id",
        file="opsflow/transport/channel.py",
        edits=(("base_id=base_id,", 'base_id="0",'),),
        tests=(_SEVEN + "test_2_no_record_is_no_proof_where_the_records_are_others[dash]",),
    ),
    Mutation(
        name="the boot id of the place",
        file="opsflow/transport/channel.py",
        edits=(("    boot: str\n", "    boot: str = field(compare=False)\n"),),
        tests=(_SEVEN + "test_2_never_started_counts_only_at_the_place_of_the_intent[dash-boot]",),
    ),
    Mutation(
        name="the boot id of a supervisor",
        file=RUNNER,
        edits=(('alive() { [ "$1" = "$boot" ] && born', "alive() { born"),),
        tests=(_POWER + "test_a_process_of_now_is_not_taken_for_the_supervisor_of_an_earlier_boot[dash]",),
    ),
    Mutation(
        name="the start time of a supervisor",
        file=RUNNER,
        edits=(('born "${2%%:*}" && [ "$born" = "${2#*:}" ]; }', 'born "${2%%:*}"; }'),),
        tests=(_POWER + "test_a_process_with_a_supervisors_id_is_not_taken_for_it[dash]",),
    ),
    Mutation(
        name="the epoch of a claim",
        file=RUNNER,
        edits=(('[ ! "$over" ]; } || refuse stale', '[ ! "$over" ]; } || :'),),
        tests=(_SEVEN + "test_3_an_earlier_owner_starts_nothing_any_more[dash]",),
    ),
    Mutation(
        name="the look at the claim before each operation",
        file=RUNNER,
        edits=(('    if [ "$mine" != "$run $epoch" ]; then\n        tell', "    if false; then\n        tell"),),
        tests=(_SEVEN + "test_3_an_earlier_owner_starts_nothing_any_more[dash]",),
    ),
    Mutation(
        name="the refusal of another run's claim",
        file=RUNNER,
        edits=(('[ "$other" != "$run" ] && busy "$other"; then', '[ "$other" != "$run" ] && false; then'),),
        tests=(_SEVEN + "test_3_another_run_is_refused_with_the_holders_name_while_one_is_at_work[dash]",),
    ),
    Mutation(
        name="that a run is over",
        file=RUNNER,
        edits=(('    echo over >>"$dir/epoch" || return\n', ""),),
        tests=(_SEVEN + "test_3_a_run_that_is_over_starts_nothing_any_more[dash]",),
    ),
    Mutation(
        name="the recorded reads, on the target",
        file=RUNNER,
        edits=(('$who$newline$seen" >>"$file.go"', '$who$newline" >>"$file.go"'),),
        tests=(_SEVEN + "test_4_what_was_read_is_stored_before_the_gate[dash]",),
    ),
    Mutation(
        name="the recorded reads, in a replay",
        file="opsflow/engine/trail.py",
        edits=(("value = _answer(found[2] if found else {}, look)", "value = look()"),),
        tests=(_REPLAY + "test_an_answer_that_an_operation_changed_is_the_one_of_the_first_time",),
    ),
    Mutation(
        name="the comparison of what is replayed, by the engine",
        file="opsflow/engine/trail.py",
        edits=(("if self._recorded[self._number].digest != digest:", "if False:"),),
        tests=(_REPLAY + "test_a_task_that_does_something_else_is_found_out_and_named",),
    ),
    Mutation(
        name="the comparison of what is asked for again, by the target",
        file=RUNNER,
        edits=(('        [ "$2" = "$hash" ] || [ "$2" = - ] || {\n', "        true || {\n"),),
        tests=(_SEVEN + "test_something_else_at_the_same_place_is_refused[dash]",),
    ),
    Mutation(
        name="the comparison of what arrived with what was sent",
        file="opsflow/transport/receive.sh",
        edits=(('[ "${sum%% *}" = "$6" ] || fail', "true || fail"),),
        tests=(_FILES + "test_a_source_that_changes_while_it_is_sent_is_not_taken",),
    ),
    Mutation(
        name="the spool: that all input is on the target before the gate",
        file="opsflow/transport/shell.py",
        edits=(
            (
                "            before_the_gate(target, send)\n",
                "            spool.truncate(65536)\n            before_the_gate(target, send)\n",
            ),
        ),
        tests=(_SEVEN + "test_1_a_payload_never_sees_a_part_of_its_input[dash]",),
    ),
    Mutation(
        name="the status slot",
        file=RUNNER,
        edits=(("printf 'e %-7s' \"$status $flag\" 1<>", "printf 'e %-7s' \"0 $flag\" 1<>"),),
        tests=(_SEVEN + "test_7_a_recorded_result_is_never_a_timeout_however_late_it_is_read[dash]",),
    ),
    Mutation(
        name="the fence",
        file=RUNNER,
        edits=(('    true >>"$dir/$1.no" || return\n', ""),),
        tests=(_CONTRACT + "test_cancelling.py::test_nothing_more_of_it_starts[dash]",),
    ),
    Mutation(
        name="the epoch of who asks for a fence",
        file=RUNNER,
        edits=(("            N) if ours; then fence", "            N) if true; then fence"),),
        tests=(_CONTRACT + "test_stale_controllers.py::test_it_ends_nothing_that_the_later_one_has_begun[dash]",),
    ),
    Mutation(
        name="that a refusal tells only of the start that was refused",
        file="opsflow/transport/following.py",
        edits=(("        self._again = call.sent > 0\n", "        self._again = False\n"),),
        tests=(
            _CONTRACT + "test_second_sendings.py::test_one_that_is_refused_is_certain_only_if_it_is_the_first[dash]",
        ),
    ),
    Mutation(
        name="that machines which share a home keep records apart",
        file=RUNNER,
        edits=(("base=${HOME-}/.opsflow/ops/$machine\n", "base=${HOME-}/.opsflow/ops/same\n"),),
        tests=(_CONTRACT + "test_shared_homes.py::test_a_run_that_is_over_on_one_goes_on_on_the_other",),
    ),
    Mutation(
        name="that records whose id was lost get another",
        file=RUNNER,
        edits=(('    [ ! -e "$base/id" ] || named || rm -f "$base/id"', "    :"),),
        tests=(_POWER + "test_records_whose_id_was_lost_get_another_and_what_was_begun_before_is_unknown[dash]",),
    ),
    Mutation(
        name="the session of its own",
        file=RUNNER,
        edits=(("    session=setsid\n", "    session=\n"),),
        tests=(
            _CONTRACT
            + "test_own_sessions.py::test_a_command_that_kills_its_process_group_ends_by_that_and_the_next_one_goes_on[dash]",
        ),
    ),
    Mutation(
        name="the nonce",
        file="opsflow/transport/channel.py",
        edits=(("nonce = secrets.token_hex(12)", 'nonce = "NONCE"'),),
        tests=(_CONTRACT + "test_over_ssh.py::test_a_login_that_talks_does_no_harm",),
    ),
    Mutation(
        name="that what may be done twice is done again when it is cut",
        file="opsflow/transport/target.py",
        edits=(("or self._closed or patience.over():\n", "or True:\n"),),
        tests=(_CONTRACT + "test_cut_transfers.py::test_a_file_whose_sending_is_cut_is_sent_again_and_put_once",),
    ),
)
