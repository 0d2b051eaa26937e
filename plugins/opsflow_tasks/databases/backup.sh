# Expects: directory, name, needed_kib, manifest (its JSON, not closed), packer, unpacker, locking (not empty: tables are
# locked), verify, scratch, the functions of an engine.
umask 077
pack() { $packer; }
unpack() { $unpacker; }
trap '' HUP
mkdir -p -- "$directory" || exit 1
leftovers
work=$directory/.$name.partial
trap 'rm -rf -- "$work"' EXIT
trap 'exit 143' INT TERM PIPE
mkdir -- "$work" || exit 1

free=$(free_kib "$directory")
[ "${free:-$needed_kib}" -ge "$needed_kib" ] || fail "not enough space in $directory: $free KiB free, $needed_kib KiB needed"
ready
prepare
[ "$verify" != restore ] || make_scratch
counts >"$work/rows" || fail "the rows of its tables cannot be counted"
position >"$work/position" || exit 1
{ produce; echo $? >"$work/produce.status"; } | { pack; echo $? >"$work/pack.status"; } >"$work/data"
# The later stage first: if it dies, the earlier one dies of it.
ended pack "writing the backup"
ended produce "the dump"
entire || fail "the backup is not complete"
written=
[ "$verify" != restore ] || rehearse

# By this a restore sees later whether anything was written since. Where it cannot be had, nothing is restored by itself.
contents=null
if copied >"$work/contents" 2>/dev/null && told "$work/contents"; then
    contents=\"$(checksum "$work/contents")\"
else
    rm -f -- "$work/contents"
fi
sum=$(checksum "$work/data")
bytes=$(($(wc -c <"$work/data")))
{
    printf '%s,\n"server": "%s",\n"tool": "%s",\n' "$manifest" "$(server)" "$(tool)"
    printf '"position": %s,\n' "$(cat -- "$work/position")"
    printf '"rows": {%s},\n' "$(tr '\n' ',' <"$work/rows" | sed 's/,$//')"
    printf '"bytes": %s,\n"contents": %s,\n"sha256": "%s"\n}\n' "$bytes" "$contents" "$sum"
} >"$work/manifest" || exit 1
for file in data manifest; do sync "$work/$file" 2>/dev/null || sync; done
if [ -f "$work/contents" ]; then mv -f -- "$work/contents" "$directory/$name.contents" || exit 1; fi
# The manifest makes it a backup, so it comes when there is nothing else left to do.
mv -f -- "$work/data" "$directory/$name" && mv -f -- "$work/manifest" "$directory/.$name.manifest" || exit 1
rm -rf -- "$work"
mv -f -- "$directory/.$name.manifest" "$directory/$name.manifest.json" || exit 1
sync "$directory" 2>/dev/null || sync
printf 'sha256 %s\nbytes %s\nwritten %s\n' "$sum" "$bytes" "$written"
