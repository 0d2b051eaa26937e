# Expects: backup, sum (its SHA-256), the functions of an engine.
umask 077
trap '' HUP
ready
[ -f "$backup" ] || fail "there is no $backup"
[ "$(checksum "$backup")" = "$sum" ] || fail "$backup is not what its manifest says: wrong SHA-256"
case $backup in *.gz) unpack() { gzip -dc; } ;; *.zst) unpack() { zstd -qdc; } ;; *) unpack() { cat; } ;; esac
work=$(mktemp -d "${backup%/*}/.restore.XXXXXXXX") || exit 1
trap 'rm -rf -- "$work"' EXIT
trap 'exit 143' INT TERM PIPE
restore
