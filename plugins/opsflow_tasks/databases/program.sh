# Expects: bytes, failed (SQL for after a clean failure, or nothing), backup (a path, or nothing), history (name of its
# table), the functions of an engine; input: the program. Beside the backup it is kept what the database held after the
# last program: only what it held before this one, too, is this one's own doing.
locking=
umask 077
trap '' HUP
ready
workshop "${TMPDIR:-/tmp}"
cat >"$work/program" || exit 1
[ "$(wc -c <"$work/program")" -eq "$bytes" ] || fail "the script did not arrive whole: nothing of it was run"
written=
if [ -f "${backup:+$backup.contents}" ]; then
    written=$(differing "$backup.contents") || exit 1
fi
client $program_options <"$work/program" >"$work/out" 2>"$work/err"
status=$?
if [ "$status" -ne 0 ] && [ -n "$failed" ] && grep -q '^opsflow-at ' "$work/out"; then
    ! refused "$status" || query "$failed"
fi
grep '^opsflow-at ' "$work/out" | tail -n 1
if [ -n "$written" ]; then
    printf '%s\n' "$written" | sed 's/^/opsflow-written /'
elif [ -f "${backup:+$backup.contents}" ]; then
    (remember "$backup.contents") || rm -f -- "$backup.contents"
fi
tail -n 12 "$work/err" >&2
exit "$status"
