# Where things are kept on the target, who may use it, and what stands at a gate.

refuse() {
    printf '\n%s X %s\n' "$nonce" "$*"
    exit 0
}

# Why nothing can be written to a directory: sets why, in the words of the system. By a program of its own: dash says of
# every write that fails that it was an I/O error.
ask_why() {
    why=$(
        export LC_ALL=C
        { echo x | cat >|"$1/try.$who"; } 2>&1
        rm -f "$1/try.$who"
    )
    why=${why##*: }
    why="$1 cannot be written${why:+: $why}"
}

refuse_write() {
    ask_why "$1"
    refuse "$why"
}

# Reads the id of the directory of records; false if there is none.
named() {
    id=
    { IFS= read -r id <"$base/id"; } 2>/dev/null
    [ "$id" ]
}

# The directory of records, nobody else's and not led elsewhere. Machines may share a home: each has one of its own.
settle() {
    above=${HOME-}/.opsflow base=${HOME-}/.opsflow/ops/$machine
    case $above in /.opsflow | [!/]*) refuse "no home directory" ;; esac
    [ -d "$HOME/" ] || refuse "there is no home directory $HOME"
    for dir in "$above" "$above/ops" "$base"; do
        [ ! -L "$dir" ] || refuse "$dir is a symbolic link"
        [ -d "$dir" ] || why=$(LC_ALL=C mkdir "$dir" 2>&1) || [ -d "$dir" ] || refuse "$dir cannot be made: ${why##*: }"
        # shellcheck disable=SC3067 # -O: every shell that we know has it
        [ -O "$dir" ] || refuse "$dir belongs to another user"
    done
    # shellcheck disable=SC3067
    if [ ! -O "$base/id" ]; then # we have not been here yet, or somebody else was
        chmod go-rwx "$above" "$above/ops" "$base" || refuse "$base cannot be made private"
    fi
    [ ! -e "$base/id" ] || named || rm -f "$base/id" # it had not reached the disk when power was lost
    if [ ! -e "$base/id" ]; then
        { IFS= read -r id </proc/sys/kernel/random/uuid; } 2>/dev/null || id=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
        echo "$id" >"$base/id.$$" || refuse_write "$base"
        ln "$base/id.$$" "$base/id" 2>/dev/null # somebody else may have been first
        rm -f "$base/id.$$"
    fi
    named || refuse "$base has no id"
    [ -e "$base/boot.$boot" ] || booted
}

# We are the first since the machine was booted: what is older than this mark, which is made once, is from before that.
booted() {
    set +f
    for old in "$base"/boot.*; do [ ! -e "$old" ] || rm -f "$old"; done
    set -f
    (set -C && true >"$base/boot.$boot") 2>/dev/null
    true
}

# Whether a run is at work here: connected, or an operation of it runs.
busy() {
    own=$dir dir=$base/$1 found=1
    set +f
    for record in "$dir"/c.*/who "$dir"/*.go; do
        set -f
        case $record in
        *.go) op=${record##*/} && op=${op%.go} && look "$op" && works "$op" ;;
        *) { read -r life owner <"$record"; } 2>/dev/null && alive "$life" "$owner" ;;
        esac || continue
        found=0
        break
    done
    set -f
    dir=$own
    return $found
}

# Make the host this run's and this epoch's, unless another run is at work or a later epoch has it.
claim() {
    last='' over=''
    { read -r last && read -r over; } 2>/dev/null <"$dir/epoch"
    last=${last:-0} # a file that is empty had not reached the disk when power was lost
    [ "$epoch" -gt "$last" ] || { [ "$epoch" = "$last" ] && [ ! "$over" ]; } || refuse stale
    other=
    { read -r other last <"$claims"; } 2>/dev/null
    if [ "$claims" = "$base/claim" ] && [ "$other" ] && [ "$other" != "$run" ] && busy "$other"; then
        by=
        { IFS= read -r by <"$base/$other/by"; } 2>/dev/null
        refuse "held $other $by"
    fi
    if replace "$dir/epoch" "$epoch" && replace "$claims" "$run $epoch"; then return; fi
    refuse_write "$home"
}

# Whether no later owner of the run has been here.
ours() {
    last=
    read -r last <"$dir/epoch"
    [ "$last" = "$epoch" ]
}

# Make a line the content of a file. Where there is one, a full disk must not lose it.
replace() {
    if [ -e "$1" ]; then
        echo "$2" >"$home/line" && mv -f "$home/line" "$1"
    else
        echo "$2" >"$1"
    fi
}

# What stands at a gate: sets state, kid (or the status), flag, hash, life, owner; false if there is none. One whose maker is
# not told to the end of the line, as when he is about to write it, is like an empty one.
look() {
    state='' kid='' flag='' hash='' life='' owner=''
    { read -r state kid flag && { [ "$state" = f ] || read -r hash life owner || state=''; }; } 2>/dev/null <"$dir/$1.go"
    [ -e "$dir/$1.go" ]
}

# Whether a gate without content is of this boot: its maker may be about to say who it is.
# shellcheck disable=SC3013 # -ot: every shell that we know has it
fresh() { ! [ "$dir/$1.go" -ot "$base/boot.$boot" ]; }

# Whether an operation that was looked at has begun and not ended: its payload is about to run, or runs.
works() {
    case $state in
    -) alive "$life" "$owner" ;;
    *) runs "$1" ;;
    esac
}

# Whether the payload runs of an operation that was looked at. Without its supervisor it is told by its arguments, or, as
# it may have become another program, by where its output goes.
runs() {
    [ "$state" = r ] && [ "$life" = "$boot" ] || return 1
    alive "$life" "$owner" && return
    # shellcheck disable=SC3013 # -ef: every shell that we know has it
    if [ "/proc/$kid/fd/1" -ef "$dir/$1.out" ] || [ "/proc/$kid/fd/2" -ef "$dir/$1.err" ]; then return; fi
    case $(tr '\0' ' ' <"/proc/$kid/cmdline" || ps -o args= -p "$kid") in *" $dir/$1 "*) ;; *) return 1 ;; esac
}
