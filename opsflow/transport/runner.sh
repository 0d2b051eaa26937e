#!/bin/sh
# The part of opsflow that works on a target. Nothing is installed: a connection sends this file to `sh` on its standard
# input, once, with words put in front (nonce, run, epoch, holder, perhaps `shared`). It is one brace group, so that a file that
# arrives in part is a syntax error and does nothing. POSIX sh: dash, bash, busybox ash, ksh.
#
# A connection is a pipeline of processes, none of them in the background, so that no signal is ignored in commands:
#
#   relay     reads messages from the connection, and hands each operation to the slot that the message names
#   slot 1-4  supervise one operation at a time: gate, payload in a session of its own, status
#   mouth     the only one that writes to the connection
#
# They talk by named pipes, in lines shorter than PIPE_BUF. When the connection ends, the relay sees the end of its input;
# idle slots and the mouth then end too. A slot at work sees to the end of its operation first: it outlives its connection.
#
# What is kept, below $HOME/.opsflow/ops (HOME, for root too, so that hosts which share a machine are apart):
#
#   id            random, made with the directory
#   claim         RUN EPOCH: the only ones for whom operations are started. Shared hosts have it below RUN
#   RUN/by        who drives the run, for messages
#   RUN/id        random too, made with RUN: who finds another one knows that records are gone
#   RUN/c.PID/    named pipes of one connection
#   RUN/OP.go     the gate: made once, by whoever starts the operation. First line, 10 bytes, overwritten in place, so
#                 that a full disk does not matter: `-` started, `r PID` payload runs, `e STATUS FLAG` ended, `f` fenced,
#                 never to start. Then: HASH BOOT PID:STARTTIME of its slot; then what was read since the operation before.
#   RUN/OP.by     that it is to end, and why, which becomes its FLAG: `t` its time is over, `k` it was asked for.
#                 `o` comes from elsewhere: the disk was full as the operation ended
#   RUN/OP.out, OP.err, OP.in              output, spooled input
#   RUN/OP.N.tmp                           name of a temporary file, of an upload that is not over
#   RUN/ATTEMPT.no, ATTEMPT.de             nothing more of the attempt is started; its deliveries but the first
#   swept         when what runs left behind was last removed
{
unset -f command echo kill printf read sh true # those of a login shell: bash imports them
set -f
slots=4
most=1048576 # bytes of a stream in one answer
small=1024   # bytes that are not worth a process
kept=30      # days
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

# Which process this is: sets who to PID:STARTTIME. A subshell has a pid of its own, which $$ does not tell.
identify() {
    if IFS= read -r stat </proc/self/stat; then
        pid=${stat%% *}
    else
        pid=$(exec sh -c 'echo "$PPID"')
    fi 2>/dev/null
    born "$pid" && who=$pid:$born
}

# When a process was started: sets born; false if there is none. Zombies do not count.
born() {
    born=
    if [ -r /proc/self/stat ]; then
        { IFS= read -r stat <"/proc/$1/stat"; } 2>/dev/null || return 1
        # shellcheck disable=SC2086 # fields
        set -- ${stat##*\) }
        case $1 in Z | X) return 1 ;; esac
        born=${20}
    else
        born=$(ps -o lstart= -p "$1" 2>/dev/null | tr -s ' ' _)
    fi
    [ "$born" ]
}

# Whether BOOT and PID:STARTTIME are of a process that lives now: a pid alone may be another's by now.
alive() { [ "$1" = "$boot" ] && born "${2%%:*}" && [ "$born" = "${2#*:}" ]; }

# Seconds since some moment that does not change: sets now.
clock() {
    if { IFS='. ' read -r now stat </proc/uptime; } 2>/dev/null; then :; else now=$(date +%s); fi
}

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

# The directory of records, nobody else's and not led elsewhere.
settle() {
    base=${HOME-}/.opsflow/ops
    case $base in /.opsflow/ops | [!/]*) refuse "no home directory" ;; esac
    [ -d "$HOME/" ] || refuse "there is no home directory $HOME"
    for dir in "${base%/ops}" "$base"; do
        [ ! -L "$dir" ] || refuse "$dir is a symbolic link"
        [ -d "$dir" ] || why=$(LC_ALL=C mkdir "$dir" 2>&1) || [ -d "$dir" ] || refuse "$dir cannot be made: ${why##*: }"
        # shellcheck disable=SC3067 # -O: every shell that we know has it
        [ -O "$dir" ] || refuse "$dir belongs to another user"
    done
    # shellcheck disable=SC3067
    if [ ! -O "$base/id" ]; then # we have not been here yet, or somebody else was
        chmod go-rwx "${base%/ops}" "$base" || refuse "$base cannot be made private"
    fi
    [ ! -e "$base/id" ] || named || rm -f "$base/id" # it had not reached the disk when power was lost
    if [ ! -e "$base/id" ]; then
        { IFS= read -r id </proc/sys/kernel/random/uuid; } 2>/dev/null || id=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
        echo "$id" >"$base/id.$$" || refuse_write "$base"
        ln "$base/id.$$" "$base/id" 2>/dev/null # somebody else may have been first
        rm -f "$base/id.$$"
    fi
    named && return
    refuse "$base has no id"
}

# Whether a run is at work here: connected, or an operation of it runs.
busy() {
    set +f
    for record in "$base/$1"/c.*/who "$base/$1"/*.go; do
        set -f
        case $record in
        *.go) { read -r state && read -r stat life owner; } <"$record" ;;
        *) state=r && read -r life owner <"$record" ;;
        esac 2>/dev/null || continue
        case $state in e* | f*) continue ;; esac
        alive "$life" "$owner" && return 0
    done
    set -f
    return 1
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

# Make a line the content of a file. Where there is one, a full disk must not lose it.
replace() {
    if [ -e "$1" ]; then
        echo "$2" >"$home/line" && mv -f "$home/line" "$1"
    else
        echo "$2" >"$1"
    fi
}

# What stands at a gate: sets state, kid (or the status), flag, hash, life, owner; false if there is none.
look() {
    state='' kid='' flag='' hash='' life='' owner=''
    { read -r state kid flag && read -r hash life owner; } 2>/dev/null <"$dir/$1.go"
    [ -e "$dir/$1.go" ]
}

# One operation after another.
slot() {
    exec <"$home/$slot" >/dev/null 9>&- # with exec, or else dash keeps copies, and the connection would never end
    identify
    trap : HUP INT TERM # caught, not ignored: commands get the defaults
    set -C
    text='' long='' body='' seen=''
    while IFS= read -r line; do
        case $line in
        'T '*) text=$text${line#T }$newline ;;
        'L '*) long=${line#L } ;;
        'I '*) body=${line#I } ;;
        'R '*) seen=${line#R } ;;
        *)
            # shellcheck disable=SC2086 # words
            set -- $line # op hash input
            op=$1 hash=$2 input=$3 file=$dir/$1 opened=
            { opened=1 && begin; } 3>>"$file.out" 4>>"$file.err" || [ "$opened" ] || cannot
            text='' long='' body='' seen=''
            ;;
        esac
    done
}

# Everything that may fail comes before the gate.
begin() {
    mine= # not what an earlier operation read: there is no claim once the run is over
    read -r mine <"$claims"
    if [ "$mine" != "$run $epoch" ]; then
        tell F "$op"
    elif ! true >"$file.go"; then
        if [ -e "$file.go" ]; then tell A "$op" "$hash"; else cannot; fi
    elif [ -e "$dir/${op%.*}.no" ]; then # after the gate: who fences looks at the gates after that
        printf '%-9s\n' f >>"$file.go"
        tell F "$op"
    elif ! printf '%-9s\n%s %s %s\n%s\n' - "$hash" "$boot" "$who" "$seen" >>"$file.go"; then
        rm -f "$file.go" # its maker, alive: nobody else can have started it
        cannot
    else
        supervise
    fi
}

# It certainly does not begin.
cannot() {
    ask_why "$dir"
    tell X "$op" "$why"
}

supervise() {
    if [ "$long" ]; then
        decoded "$long" | { payload "$through"; } 5<&0
    else
        payload "$text"
    fi
    status=$? flag=-
    [ ! -e "$file.by" ] || outlast
    printf %4096s '' >>"$home/room" || flag=${flag#-}o # the disk is full: output may not be whole
    true >|"$home/room"
    printf 'e %-7s' "$status $flag" 1<>"$file.go"
    # How much it wrote: where the descriptors stand that it had from us.
    { read -r stat out </proc/self/fdinfo/3 && read -r stat err </proc/self/fdinfo/4; } || out=- err=-
    exec 3>&- 4>&- # who hears of its end may want the disk for itself
    tell D "$op" "$status" "$flag" "$out" "$err"
}

# What it is to do is in its environment, until it has read that.
# It takes its stderr itself: what our shell says of its end ("Killed") is no output of it.
payload() {
    case $input in
    p) decoded "$body" | _opsflow=$1 $session sh -c "$inner" sh "$file" "$mask" >&3 3>&- ;;
    f) _opsflow=$1 $session sh -c "$inner" sh "$file" "$mask" <"$file.in" >&3 3>&- ;;
    *) _opsflow=$1 $session sh -c "$inner" sh "$file" "$mask" </dev/null >&3 3>&- ;;
    esac
}

# An operation was to end, and its shell has: those of its group that clean up have five seconds too.
outlast() {
    look "$op"
    read -r flag <"$file.by"
    clock
    ends=$((now + 5))
    while [ "$session" ] && kill -0 "-$kid" && [ "$now" -lt $((ends + 3)) ]; do
        [ "$now" -lt "$ends" ] || kill -KILL "-$kid"
        sleep 0.1 || sleep 1
        clock
    done
}

# Opened for both ways, a pipe that nobody reads any more does not block.
tell() { printf '%s\n' "$*" 1<>"$home/mouth"; }

# Messages: several lines that say what, then one that says do; a message that is cut does nothing.
relay() {
    exec 9>&- 4>"$home/mouth" 5>"$home/1" 6>"$home/2" 7>"$home/3" 8>"$home/4"
    message=
    while IFS= read -r line; do
        case $line in
        [TLIR]' '*) message=$message$line$newline ;;
        'S '*' .')
            # shellcheck disable=SC2086 # words
            set -- $line # S slot op hash timeout input delivery .
            start "$2" "$3" "$4" "$5" "$6" "$7"
            message=
            ;;
        *' .') printf '%s\n' "${line% .}" >&4 ;;
        esac
    done
    hang_up
}

# End the shell that waits for us, so that it keeps no stream open. Whoever comes second may find its pid given away.
hang_up() { ! alive "$boot" "$who" || kill -KILL "$$"; }

start() {
    if late "${2%.*}" "$6"; then
        printf 'F %s\n' "$2" >&4
    elif [ -e "$dir/$2.go" ]; then
        printf 'A %s %s\n' "$2" "$3" >&4
    else
        [ "$4" = 0 ] || printf 'B %s %s\n' "$2" "$4" >&4
        raw "$message$2 $3 $5" >&$((4 + $1))
    fi
}

# Whether a later delivery of an attempt was seen than this one, which from now on has been seen too.
late() {
    latest=1
    [ ! -e "$dir/$1.de" ] || while read -r stat; do [ "$stat" -le "$latest" ] || latest=$stat; done <"$dir/$1.de"
    [ "$2" -ge "$latest" ] || return 0
    [ "$2" -eq "$latest" ] || echo "$2" >>"$dir/$1.de"
    return 1
}

# Answers, and what needs a clock.
mouth() {
    exec <"$home/mouth" >&9 9>&-
    trap : HUP INT TERM
    trap '' PIPE # the connection may go while it is written to; what there is to do then is done below
    asked=' ' due='' alarm='' rings=0
    finished='' count=0 written=0
    while :; do
        while read -r what op a b c; do
            case $what in
            D) ended "$op" "$a" "$b" "${c% *}" "${c#* }" ;;
            A) answer "$op" "$a" 0 0 ;;
            P) follow "$op" && answer "$op" "$a" "$b" "$c" ;;
            B) clock && due="$due $op:$((now + a + 1))" && wake $((a + 1)) ;;
            T) ring ;;
            N) fence "$op" "$a" ;;
            Q) if late "$op" "$a"; then say F "$op"; else recall "$op"; fi ;;
            C) clean "$op $a $b $c" ;;
            Z) release ;;
            F | X) forget "$op" && say "$what" "$op" "$a $b $c" ;;
            esac
        done
        # The connection is gone. Timeouts go on.
        hang_up
        exec >/dev/null
        [ "$due" ] || break
        read -r what op a b c <>"$home/mouth"
        case $what in D | F | X) forget "$op" ;; T) ring ;; esac
    done
    hush
    tidy
    sweep
}

# Its output is asked for from now on.
follow() {
    case $asked in *" $1 "*) ;; *) asked="$asked$1 " ;; esac
}

say() { printf '\n%s %s\n' "$nonce" "$*"; }

ended() {
    forget "$1"
    case $4 in -) ;; *) written=$((written + $4 + $5)) ;; esac
    case $asked in
    *" $1 "*) # the rest is asked for, from where that came to
        asked=${asked%%" $1 "*}" "${asked#*" $1 "}
        say E "$1" "$2" "$3" 0 0 -
        ;;
    *) outputs E "$1" "$2 $3" 0 0 "$4" "$5" ;;
    esac
}

# One answer with what came of both streams from these places on; last, if it is known, how much there is of each.
outputs() {
    has=
    [ ! -s "$dir/$2.out" ] || has=o
    [ ! -s "$dir/$2.err" ] || has=${has}e
    say "$1" "$2" "$3" "$4" "$5" "${has:-.}"
    case $has in *o*) part "$dir/$2.out" "$4" "${6--}" ;; esac
    case $has in *e*) part "$dir/$2.err" "$5" "${7--}" ;; esac
}

part() {
    if [ "$2" -ge "$most" ]; then # some `tail` read all that comes before
        dd if="$1" bs="$most" skip=$(($2 / most)) count=2 | tail -c +$(($2 % most + 1)) | head -c "$most"
    elif [ "$2" != 0 ]; then
        tail -c +$(($2 + 1)) "$1" | head -c "$most"
    elif [ "$3" != - ] && [ "$3" -le "$small" ] && whole "$1"; then
        printf '%s' "$text"
    else
        head -c "$most" "$1"
    fi
    printf '\n%s\n' "$nonce"
}

# Read a small file without a process of its own: sets text. False if that is not all of it: shells leave out NUL, and
# some count characters; where its descriptor stands tells the bytes.
whole() {
    text=
    {
        while IFS= read -r line; do text=$text$line$newline; done
        text=$text$line
        read -r stat at </proc/self/fdinfo/3
    } 3<"$1" <&3
    [ ${#text} = "$at" ]
}

# What is known of an operation: op, hash, places in its streams.
answer() {
    if ! look "$1"; then
        say N "$1" "$boot"
        return
    fi
    case $state in
    '') say G "$1" ;; # made, and not yet said by whom
    f) say F "$1" ;;
    *)
        [ "$2" = "$hash" ] || [ "$2" = - ] || {
            say M "$1"
            return
        }
        if [ "$state" != e ] && ! alive "$life" "$owner"; then
            look "$1" # it may have ended between the two looks
        elif [ "$state" != e ]; then
            outputs R "$1" "- -" "$3" "$4"
            return
        fi
        if [ "$state" = e ]; then
            [ "$life" = "$boot" ] || flag=${flag}b # written before a reboot: the status is true, output may be cut
            outputs E "$1" "$kid ${flag:--}" "$3" "$4"
        elif [ "$life" = "$boot" ]; then
            outputs L "$1" "killed -" "$3" "$4"
        else
            outputs L "$1" "reboot -" "$3" "$4"
        fi
        ;;
    esac
}

# End an operation, for the reason that becomes its flag: what has not begun never will; what runs gets SIGTERM, and
# SIGKILL five seconds later. What begins just now finds the mark: it is made before the look.
stop() {
    if (set -C && printf '%-9s\n' f >"$dir/$1.go"); then
        say F "$1"
        return
    fi
    (set -C && echo "$2" >"$dir/$1.by")
    if look "$1" && runs "$1"; then
        (
            aim "$kid"
            # shellcheck disable=SC2086 # several
            kill -TERM $whom
            # What was stopped goes on, to its end; its supervisor too.
            # shellcheck disable=SC2086
            kill -CONT $whom "${owner%%:*}"
            sleep 5
            for entry in $known; do
                ! alive "$boot" "$entry" || kill -KILL "${entry%%:*}"
            done
            [ ! "$session" ] || ! look "$1" || ! runs "$1" || kill -KILL "-$kid"
        ) </dev/null >/dev/null &
    fi
}

# For whom a signal to a process that we started is meant: its group. Where there is no `setsid` it has none of its own:
# then for it and all that is below it by now, of which `known` keeps who they are. Sets whom and known.
aim() {
    whom=-$1 known=
    [ ! "$session" ] || return 0
    whom=" $1 " more=1
    while [ "$more" ]; do
        more=
        for entry in $(parents); do
            case $whom in
            *" ${entry%:*} "*) ;;
            *" ${entry#*:} "*) whom="$whom${entry%:*} " more=1 ;;
            esac
        done
    done
    for pid in $whom; do
        ! born "$pid" || known="$known $pid:$born"
    done
}

# All processes: PID:PARENT.
parents() {
    if [ ! -r /proc/self/stat ]; then
        ps -A -o pid= -o ppid= | while read -r pid born; do echo "$pid:$born"; done
        return
    fi
    set +f
    for file in /proc/[0-9]*/stat; do
        { IFS= read -r stat <"$file"; } 2>/dev/null || continue
        pid=${stat%% *} stat=${stat##*\) } && stat=${stat#* } && echo "$pid:${stat%% *}"
    done
    set -f
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

# Nothing more of an attempt is started; what runs of it is ended, if so asked. Says what there is that has not ended.
fence() {
    true >>"$dir/$1.no" || return
    left=
    set +f
    for gate in "$dir/$1".*.go; do
        set -f
        op=${gate##*/} && op=${op%.go}
        look "$op" || continue
        case $state in e* | f*) continue ;; esac
        [ "$2" != k ] || stop "$op" k
        look "$op"
        case $state in
        '') left=$left. ;; # made, and not yet said by whom
        -) ! alive "$life" "$owner" || left=${left}b ;;
        r) ! runs "$op" || left=${left}r ;;
        esac
    done
    set -f
    [ "$left" ] || drop "$dir/$1."
    say N "$1" "${left:-over}"
}

# Remove what uploads have left half done.
drop() {
    set +f
    for note in "$1"*.tmp; do
        set -f
        [ ! -f "$note" ] || rm -f -- "$(cat "$note")" "$note"
    done
    set -f
}

forget() {
    left=
    for entry in $due; do
        case $entry in "$1":*) ;; *) left="$left $entry" ;; esac
    done
    due=$left
}

# One alarm serves all: it is set anew only for an operation whose time ends before it rings.
wake() {
    [ "$rings" = 0 ] || [ $((now + $1)) -lt "$rings" ] || return 0
    hush
    rings=$((now + $1))
    # shellcheck disable=SC2016 # it is expanded there
    $session sh -c 'sleep "$1"; echo T 1<>"$2"' sh "$1" "$home/mouth" </dev/null >/dev/null &
    alarm=$!
}

# By its id first: it may not have a group of its own yet, and then it never will.
hush() {
    [ "$alarm" ] || return 0
    aim "$alarm"
    kill -KILL "$alarm"
    # shellcheck disable=SC2086 # several
    kill -KILL $whom
}

ring() {
    clock
    rings=0 alarm='' left='' first=
    for entry in $due; do
        if [ "${entry#*:}" -le "$now" ]; then
            stop "${entry%%:*}" t
        else
            left="$left $entry"
            [ "$first" ] && [ "$first" -le "${entry#*:}" ] || first=${entry#*:}
        fi
    done
    due=$left
    [ ! "$first" ] || wake $((first - now))
}

# The record of an attempt: its operations in order.
recall() {
    n=1
    while look "$1.$n"; do
        seen=
        { read -r stat && read -r stat && IFS= read -r seen; } 2>/dev/null <"$dir/$1.$n.go"
        say V "$1" "${hash:--} $seen"
        n=$((n + 1))
    done
    say V "$1" .
}

# The outcome of attempts is durable: what else is kept of them than their gates goes, many at a time.
clean() {
    for attempt in $1; do
        finished="$finished $attempt" count=$((count + 1))
    done
    if [ "$count" -ge 32 ] || [ "$written" -ge 16777216 ]; then tidy; fi
}

tidy() {
    set --
    for attempt in $finished; do
        n=1
        while [ -e "$dir/$attempt.$n.go" ]; do
            set -- "$@" "$dir/$attempt.$n.out" "$dir/$attempt.$n.err" "$dir/$attempt.$n.in" "$dir/$attempt.$n.by"
            case $attempt in r*) set -- "$@" "$dir/$attempt.$n.go" ;; esac # reads: only operations need to be remembered
            n=$((n + 1))
        done
    done
    finished='' count=0 written=0
    [ $# = 0 ] || rm -f "$@"
}

# What runs left here that nobody came back to for a month. At most once a day, when a connection is over.
sweep() {
    clock
    day="$boot $((now / 86400))" last=
    { IFS= read -r last <"$base/swept"; } 2>/dev/null
    [ "$last" != "$day" ] || return 0
    echo "$day" >"$base/swept"
    find "$base/." ! -name . -prune -type d -mtime "+$kept" | while IFS= read -r old; do
        old=${old##*/}
        busy "$old" && continue
        # Out of the way first, since a connection may come: one that was there by then is seen now.
        mv "$base/$old" "$base/old.$$" || continue
        if busy "old.$$"; then
            mv "$base/old.$$" "$base/$old"
        else
            drop "$base/old.$$/"
            rm -rf "$base/old.$$"
        fi
    done
}

# The run is over: nobody starts anything in its name again, unless a later epoch comes.
release() {
    last=
    read -r last <"$dir/epoch"
    if [ "$last" != "$epoch" ]; then # a later owner works here
        say Z "$run"
        return
    fi
    drop "$dir/"
    echo over >>"$dir/epoch" || return
    set --
    read -r mine <"$claims"
    [ "$mine" != "$run $epoch" ] || set -- "$claims"
    set +f
    for file in "$dir"/*; do
        case $file in */epoch) ;; *) set -- "$@" "$file" ;; esac
    done
    set -f
    rm -rf "$@" && say Z "$run"
}

# What a payload's shell does first: say who it is, see whether it is to be, forget what it was told.
# shellcheck disable=SC2016 # it is expanded there
inner='{ printf "r %-7s" "$$" 1<>"$1.go"; } 2>/dev/null
if [ -e "$1.by" ]; then exit 143; fi
exec 2>&4 4>&-
umask "$2"
set -- "$_opsflow"
unset _opsflow
eval "shift
$1"'
# What is too long for that comes through a pipe.
# shellcheck disable=SC2016 # it is expanded there
through='set -- "$(cat <&5)"
exec 5<&-
eval "shift
$1"'

nonce=$1 run=$2 epoch=$3
case ${KSH_VERSION-} in *93*) refuse "its sh is ksh93, which tells signals and processes in ways of its own: another shell is needed" ;; esac
boot=
{ IFS= read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null || boot=$(sysctl -n kern.bootsessionuuid)
if ! identify || [ ! "$boot" ]; then refuse "processes cannot be told apart here"; fi
machine=-
{ IFS= read -r machine </etc/machine-id; } 2>/dev/null
uid='' mask=''
{ while IFS='	 ' read -r stat uid born && [ "$stat" != Uid: ]; do [ "$stat" != Umask: ] || mask=$uid; done </proc/self/status; } 2>/dev/null
uid=${uid:-$(id -u)} mask=${mask:-$(umask)}
umask 077 # for what is kept here; commands get theirs back
session=
if command -v setsid >/dev/null; then
    session=setsid
elif perl -e 'setpgrp' 2>/dev/null; then
    session='perl -e setpgrp;exec@ARGV'
fi
for tool in cat chmod dd head id ln mkdir mkfifo mv rm sh sleep tail; do
    command -v "$tool" >/dev/null || refuse "there is no $tool"
done
settle
dir=$base/$run home=$base/$run/c.$$
case ${5-} in shared) claims=$dir/claim ;; *) claims=$base/claim ;; esac
[ ! -e "$home" ] || rm -rf "$home"
if ! mkdir -p "$home" || ! echo "$boot $who" >"$home/who" || ! true >"$home/room"; then refuse_write "$base"; fi
made=
{ read -r made <"$dir/id"; } 2>/dev/null
# Several may append: the first line counts.
[ "$made" ] || { echo "$boot.$who" >>"$dir/id" && read -r made <"$dir/id"; } || refuse_write "$dir"
claim
echo "$4" >"$dir/by"
mkfifo "$home/mouth" "$home/1" "$home/2" "$home/3" "$home/4" || refuse_write "$home"
printf '\n%s H %s %s %s %s %s %s\n' "$nonce" "$boot" "$id.$made" "$machine" "$uid" "$slots" "$base"
exec 9>&1 2>/dev/null
# Nothing passes through the pipes between them. `true` is there for shells that run the last one themselves.
relay |
    { slot=1 && slot; } |
    { slot=2 && slot; } |
    { slot=3 && slot; } |
    { slot=4 && slot; } |
    mouth |
    true
exit # what comes in from now on are no commands for this shell
}
