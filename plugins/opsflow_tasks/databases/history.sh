# Expects: exists, rows (queries), backup (a path, or nothing), the functions of an engine. Says what the history table
# holds, a row a line. Whatever is done to a database begins here, so it is here that what was killed is tidied up after.
tidy "${TMPDIR:-/tmp}"
[ -z "$backup" ] || tidy "${backup%/*}"
ready
found=$(query "$exists") || exit 1
printf '%s\n' "$found"
case $found in *history*) query "$rows" || exit 1 ;; esac
case $found in *mark*) query "$marked" || exit 1 ;; esac
