# Expects: bytes, failed (SQL for after a clean failure, or nothing), the functions of an engine; input: the program.
umask 077
trap '' HUP
ready
work=$(mktemp -d "${TMPDIR:-/tmp}/opsflow.XXXXXXXX") || exit 1
trap 'rm -rf -- "$work"' EXIT
trap 'exit 143' INT TERM PIPE
cat >"$work/program" || exit 1
[ "$(wc -c <"$work/program")" -eq "$bytes" ] || fail "the script did not arrive whole: nothing of it was run"
client $program_options <"$work/program" >"$work/out" 2>"$work/err"
status=$?
if [ "$status" -ne 0 ] && [ -n "$failed" ] && grep -q '^opsflow-at ' "$work/out"; then
    ! refused "$status" || query "$failed"
fi
grep '^opsflow-at ' "$work/out" | tail -n 1
tail -n 12 "$work/err" >&2
exit "$status"
