# Takes a file from standard input under a temporary name, beside the place where it is to be. Until it is whole nobody
# else may read it.
# $1 path, $2 its directory, $3 temporary name, $4 mode, $5 size, $6 SHA-256
# For an operation also: $7 BASE/RUN/OP, beside which the temporary name is noted, so that what is left half done can be
# removed: by the next try, a fence, or the end of the run; $8 name that an earlier try left, $9 blocks to take from it
fail() {
    echo "$1" >&2
    exit "${2-1}"
}
umask 077
temporary=$3 # inside a function $3 is another
note=${7:+$7.${3##*-}.tmp}
[ -d "$2" ] || fail "$2: there is no such directory"
[ -w "$2" ] || fail "$2: $(id -un) may not write there"
[ ! -d "$1" ] || fail "$1: is a directory"
trap 'rm -f -- "$temporary" "$note"' EXIT
trap 'exit 1' HUP INT TERM PIPE
if [ "$note" ]; then
    case $3 in
    /*) noted=$3 ;;
    *) noted=$PWD/$3 ;;
    esac
    if ! printf '%s\n' "$noted" >"$note"; then
        why=$({ echo "$noted" | LC_ALL=C cat >"$note"; } 2>&1) # in the words of the system: dash does not tell
        fail "$1: that it is on its way cannot be noted: ${why##*: }"
    fi
    [ ! -e "${7%.*}.no" ] || fail "the attempt was ended" 77 # looked at after the note: who fences removes what is noted
fi
rm -f -- "$3"
set -C
exec 3>"$3" || exit 1
set +C
if [ "$note" ]; then
    # Copied, not written on with: whoever wrote it may not have noticed yet that the connection is gone.
    [ "$9" = 0 ] || dd if="$8" bs=65536 count="$9" 2>/dev/null >&3
    for old in "$7".*.tmp; do
        [ "$old" = "$note" ] || [ ! -f "$old" ] || rm -f -- "$(cat "$old")" "$old"
    done
fi
cat >&3 || exit 1
exec 3>&-
size=$(wc -c <"$3") || exit 1
if [ "$size" -ne "$5" ]; then
    [ ! -f "$note" ] || trap - EXIT # the connection was lost: the next try takes it
    fail "$1: only $size of $5 bytes arrived"
fi
chmod -- "$4" "$3" || exit 1
{ sync "$3" || sync; } >/dev/null 2>&1 &
sha() { "$@" <"$temporary" 2>/dev/null; }
sum=
[ "$5" -lt 1000000 ] || sum=$(sha openssl dgst -r -sha256) # slow to start, and then the fastest
[ "$sum" ] || sum=$(sha sha256sum || sha busybox sha256sum || sha openssl dgst -r -sha256) ||
    fail "there is no program that computes SHA-256 (sha256sum, busybox, openssl)"
[ "${sum%% *}" = "$6" ] || fail "$1: what arrived is not what was sent"
wait "$!" || exit 1
