# Expects: backup, sum (its SHA-256), run, begun (not empty: a restore of this run was, so that what is there is no more
# what was written), history (name of its table), the functions of an engine.
locking=
umask 077
trap '' HUP
ready
[ -f "$backup" ] || fail "there is no $backup"
[ "$(checksum "$backup")" = "$sum" ] || fail "$backup is not what its manifest says: wrong SHA-256"
case $backup in *.gz) unpack() { gzip -dc; } ;; *.zst) unpack() { zstd -qdc; } ;; *) unpack() { cat; } ;; esac
workshop "${backup%/*}"
if [ -z "$begun" ] && [ "$(cat -- "$backup.restore" 2>/dev/null)" != "$run" ]; then
    [ -f "$backup.contents" ] || fail "there is no $backup.contents, which would tell whether anything was written since"
    written=$(differing "$backup.contents") || exit 1
    if [ -n "$written" ]; then
        printf '%s\n' "$written" | sed 's/^/opsflow-written /'
        exit 1
    fi
fi
restore
(remember "$backup.contents") || rm -f -- "$backup.contents"
rm -f -- "$backup.restore"
