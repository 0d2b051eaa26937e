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

# Whether a here-document of the most bytes that are sent for one is a pipe's content, which costs no process. Others make
# a file of it: there is nothing secret in this one.
here=0123456789abcdef
here=$here$here$here$here
here=$here$here$here$here
here=$here$here$here$here
here=$here$here$here$here
if [ -p /dev/fd/0 ]; then here=1; else here=; fi 2>/dev/null <<.
${here#?}
.
