# The part of opsflow that works on a target. Nothing is installed: a connection sends the files of this directory to `sh`
# on its standard input, once, joined, with words put in front (nonce, run, epoch, holder, perhaps `shared`). They are sent
# as one brace group, so that what arrives in part is a syntax error and does nothing. POSIX sh: dash, bash, busybox ash,
# mksh. Read this file first.
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
# What is kept, below $HOME/.opsflow/ops/MACHINE-ID (HOME, for root too, so that hosts which share a machine are apart; the
# machine, so that machines which share a home are):
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
#   boot.BOOT     made with the first connection since the machine was booted
#   swept         when what runs left behind was last removed

slots=4
most=1048576 # bytes of a stream in one answer
small=1024   # bytes that are not worth a process
kept=30      # days

# Opened for both ways, a pipe that nobody reads any more does not block.
tell() { printf '%s\n' "$*" 1<>"$home/mouth"; }

# Messages: several lines that say what, then one that says do; a message that is cut does nothing.
relay() {
    exec 9>&- 4>"$home/mouth" 5>"$home/1" 6>"$home/2" 7>"$home/3" 8>"$home/4"
    message=
    while IFS= read -r line; do
        case $line in
        [TLHIR]' '*) message=$message$line$newline ;;
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

nonce=$1 run=$2 epoch=$3
case ${KSH_VERSION-} in *93*) refuse "its sh is ksh93, which tells signals and processes in ways of its own: another shell is needed" ;; esac
boot=
{ IFS= read -r boot </proc/sys/kernel/random/boot_id; } 2>/dev/null || boot=$(sysctl -n kern.bootsessionuuid)
if ! identify || [ ! "$boot" ]; then refuse "processes cannot be told apart here"; fi
machine=-
{ read -r machine </etc/machine-id; } 2>/dev/null
case $machine in '' | *[!0-9A-Za-z]*) machine=- ;; esac # it becomes a name
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
