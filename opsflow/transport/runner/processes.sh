# Which processes there are, and whether they are still the ones that were meant.

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
