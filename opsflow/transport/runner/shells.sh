# What comes first: shells and their differences.

unset -f command echo kill printf read sh true # those of a login shell: bash imports them
set -f
newline='
'

# What may be longer than an argument of a program: mksh has no `printf` of its own.
case ${KSH_VERSION-} in
*MIRBSD* | *LEGACY*)
    # shellcheck disable=SC3057,SC2039,SC3045 # only there
    raw() { print -r -- "$1"; }
    decoded() { print -n -- "$1"; }
    ;;
*)
    raw() { printf '%s\n' "$1"; }
    decoded() { printf '%b' "$1"; }
    ;;
esac
