# Expects: directory, name, needed_kib, manifest (its JSON, not closed), packer, unpacker, the functions of an engine.
umask 077
pack() { $packer; }
unpack() { $unpacker; }
trap '' HUP
mkdir -p -- "$directory" || exit 1
work=$directory/.$name.partial
rm -rf -- "$work"
trap 'rm -rf -- "$work"' EXIT
trap 'exit 143' INT TERM PIPE
mkdir -- "$work" || exit 1

free=$(free_kib "$directory")
[ "${free:-$needed_kib}" -ge "$needed_kib" ] || fail "not enough space in $directory: $free KiB free, $needed_kib KiB needed"
ready
prepare
{ produce; echo $? >"$work/produce.status"; } | { pack; echo $? >"$work/pack.status"; } >"$work/data"
# The later stage first: if it dies, the earlier one dies of it.
ended pack "writing the backup"
ended produce "the dump"
entire || fail "the backup is not complete"

sum=$(checksum "$work/data")
bytes=$(($(wc -c <"$work/data")))
tool=$(tool)
printf '%s,\n"tool": "%s",\n"bytes": %s,\n"sha256": "%s"\n}\n' "$manifest" "$tool" "$bytes" "$sum" >"$work/manifest" ||
    exit 1
for file in data manifest; do sync "$work/$file" 2>/dev/null || sync; done
mv -f -- "$work/data" "$directory/$name" && mv -f -- "$work/manifest" "$directory/$name.manifest.json" || exit 1
sync "$directory" 2>/dev/null || sync
printf 'sha256 %s\nbytes %s\n' "$sum" "$bytes"
