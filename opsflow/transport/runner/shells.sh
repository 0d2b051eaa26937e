# What comes first: shells and their differences.

unset -f command echo kill printf read sh true # those of a login shell: bash imports them
set -f

# Variables of ours are none of commands, and a login's that have the same names are: they are put aside, and given back
# by the words in `_opsflow_back`.
_opsflow_back=
for _opsflow_name in \
    a above alarm asked at attempt b base body boot born by c claims count day dir due ends entry epoch \
    err file finished first flag found gate has hash here home id inner input kept kid known last latest \
    left life line long machine made mask message mine more most n newline nonce note now old op opened \
    other out over own owner pid record rings run seen session slot slots small stat state status text \
    through tool uid what who whom why written; do
    eval "_opsflow_there=\${$_opsflow_name+there}"
    [ "$_opsflow_there" ] || continue
    eval "export _opsflow_$_opsflow_name=\"\$$_opsflow_name\""
    unset "$_opsflow_name"
    _opsflow_back="$_opsflow_back export $_opsflow_name=\"\$_opsflow_$_opsflow_name\"; unset _opsflow_$_opsflow_name;"
done

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
