# Expects: exists, rows (queries), the functions of an engine. Says what the history table holds, a row a line.
ready
found=$(query "$exists") || exit 1
printf '%s\n' "$found"
case $found in *history*) query "$rows" || exit 1 ;; esac
case $found in *mark*) query "$marked" || exit 1 ;; esac
