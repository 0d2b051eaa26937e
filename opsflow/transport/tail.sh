# The last lines of a file. They are looked for from its end in blocks, so that neither a long file nor a long line costs more
# than a MiB; POSIX promises neither of `tail -n`. What begins more than a MiB before the end is cut.
# $1 path, $2 how many lines
fail() {
    echo "$1" >&2
    exit 1
}
file=$1 wanted=$2 block=65536 blocks=1
[ -e "$file" ] || exit 0
[ ! -d "$file" ] || fail "is a directory"
[ -f "$file" ] || fail "is not a regular file"
[ -r "$file" ] || fail "Permission denied"
set -f
# shellcheck disable=SC2012,SC2046 # fields, of which the fifth is the size
set -- $(ls -Lldn -- "$file")
size=$5
if [ "$size" = 0 ]; then # or it does not tell, as in /proc
    head -c 1048576 -- "$file" | tail -n "$wanted"
    exit
fi
last=$(((size - 1) / block))
part() { dd if="$file" bs="$block" skip="$first" count="$((last - first + 1))" 2>/dev/null; }
while :; do
    first=$((last - blocks + 1))
    [ "$first" -gt 0 ] || first=0
    if [ "$first" = 0 ] || [ "$blocks" = 16 ] || [ "$(part | wc -l)" -gt "$wanted" ]; then break; fi
    blocks=$((blocks * 4))
done
part | tail -n "$wanted"
