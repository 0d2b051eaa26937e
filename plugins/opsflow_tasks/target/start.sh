# Is the service healthy; make it so.

healthy() { # -> o_why if not
    o_why=
    if [ "$o_state" != running ]; then
        o_why="it is $o_state"
    elif [ -n "$o_port" ] && ! listening; then
        o_why="port $o_port is not open"
    elif [ -n "$o_port" ] && another; then
        : # which says why
    else
        content
    fi
    [ -z "$o_why" ]
}

another() { # -> o_why: does a process answer at the port that is older than the service, and none of its own
    [ -z "$o_anybody" ] && [ "$o_pid" != 0 ] && [ "$o_inodes $o_id" != "$o_proved" ] || return 1
    for o_inode in $o_inodes; do
        foreign "$o_inode" || continue
        named "$o_old"
        o_why="port $o_port is answered by an older process, $o_holder, not by pid $o_pid"
        return 0
    done
    o_proved="$o_inodes $o_id"
    return 1
}

foreign() { # INODE -> o_old
    # shellcheck disable=SC2010 # no names of files are listed
    ! ls -l "/proc/$o_pid/fd" 2>/dev/null | grep -qF "socket:[$1]" || return 1
    o_old=
    for o_each in $(holders "$1"); do
        ! its_own "$o_each" || return 1
        o_old=$o_each
    done
    [ -n "$o_old" ]
}

its_own() ( # PID: younger than the service's main process, or of its group or unit; process 1 lends its units their sockets
    o_main=$o_pid o_began=$o_born o_led=$o_group
    [ "$1" != 1 ] && process "$1" && [ "$o_born" -lt "$o_began" ] && [ "$o_group" != "$o_led" ] || exit 0
    [ "$o_manager" = systemd ] && [ "$(cat "/proc/$1/cgroup")" = "$(cat "/proc/$o_main/cgroup")" ]
)

look() { # for the plan hooks: changes nothing
    state
    say state "$o_state"
    say manager "$o_manager"
    say result "$o_result"
    say pid "$o_pid"
    if [ -n "$o_port" ] && [ -z "$o_anybody" ] && listening; then
        holder
        say listener "$o_holder"
        ! lent || say lent yes
    fi
    [ -z "$o_sockets" ] || balancer_states
    if [ -n "$o_drained" ] && look_up "$o_drained"; then say drained yes; fi
}

examine() { # look, and ask it how it is; and whether it can be started
    look
    healthy || say unhealthy "$o_why"
    [ -z "$o_command" ] || ! gone || startable
}

startable() { # says why what `daemonize` makes cannot be made
    if [ -z "$o_log" ]; then
        :
    elif [ -d "$o_log" ]; then
        say closed "$o_log is a directory"
    elif [ ! -e "$o_log" ]; then
        writable "$(dirname -- "$o_log")"
    elif [ ! -w "$o_log" ]; then
        say closed "$(id -un) may not write to $o_log (see \`become\`)"
    fi
    writable "$(dirname -- "$o_pidfile")"
}

start() {
    mark_log
    state
    now
    o_deadline=$((o_now + o_timeout)) o_pause=0
    while [ "$o_state" = stopping ] && [ "$o_now" -lt "$o_deadline" ]; do
        pause
        state
        now
    done
    if gone; then
        if [ -n "$o_port" ] && [ -z "$o_anybody" ] && listening && ! lent; then
            holder
            die "port $o_port is taken: $o_holder listens"
        fi
        launch
    fi
    wait_healthy
    say pid "$o_pid"
    [ -z "$o_undrain" ] || must undrain "$o_drain_timeout" "$o_undrain"
    balance
}

lent() { # whether systemd itself listens, for a unit that it starts when somebody connects
    [ "$o_manager" = systemd ] || return 1
    for o_inode in $o_inodes; do
        holders "$o_inode" | grep -qx 1 || return 1
    done
}

launch() {
    case $o_manager in
        systemd)
            # Else systemd refuses a unit that has failed too often within a while.
            [ "$o_state" != failed ] || $o_control reset-failed "$o_service" >&2
            $o_control start --no-block "$o_service" >&2 || die "systemd does not start $o_service" log
            ;;
        supervisor) must start "$(left_over)" "$o_control start '$o_service'" ;;
        *) if [ -n "$o_command" ]; then daemonize; else must start "$(left_over)" "$o_start"; fi ;;
    esac
}

left_over() { # hundredths until the deadline, but a second at least
    now
    echo "$((o_deadline - o_now > 100 ? o_deadline - o_now : 100))"
}

daemonize() { # the program becomes the leader of its own session; its number is written down before it begins
    (
        umask 077
        mkdir -p -- "$(dirname -- "$o_pidfile")" || exit
        rm -f -- "$o_pidfile" "$o_pidfile.id" || exit # stale, and half of it would be another process's for a moment
        [ -z "$o_log" ] || { mkdir -p -- "$(dirname -- "$o_log")" && : >>"$o_log"; }
    ) || die "$o_pidfile${o_log:+ or $o_log} cannot be written, or the directory of it not made"
    (apart sh -c "$o_launcher" sh "$o_pidfile" "$o_command") </dev/null >>"${o_log:-/dev/null}" 2>&1 &
    o_child=$!
}

wait_healthy() { # before the deadline; then the same process for the whole window, and so often as it has to be
    now
    o_began=$o_now o_until=$o_deadline o_first= o_good= o_passed=0 o_pause=0 o_as=
    while :; do
        state
        now
        if gone; then
            gone_early
        elif [ -n "$o_first" ] && [ "$o_id" != "$o_first" ]; then
            [ "$o_pid" = 0 ] || o_as=" as pid $o_pid"
            die "it does not stay up: it was restarted$o_as" log
        elif [ "$o_state" = running ]; then
            o_first=$o_id
        fi
        if healthy; then
            o_good=${o_good:-$o_now} o_passed=$((o_passed + 1)) o_until=
            if [ $((o_now - o_good)) -ge "$o_stay_up" ] && [ "$o_passed" -ge "$o_passes" ]; then return 0; fi
            rest "$o_every"
        else
            o_good= o_passed=0 o_until=$o_deadline
            people "$o_timeout"
            [ "$o_now" -lt "$o_deadline" ] || die "it is not healthy after $o_seconds: $o_why" log
            pause
        fi
    done
}

gone_early() { # returns if it may only not be there yet
    if [ -n "$o_child" ] && ! process "$o_child"; then
        wait "$o_child" 2>/dev/null
        die "it ended with status $?" log
    fi
    [ -z "$o_first" ] || die "it came up and ended again" log
    if [ "$o_state" = failed ] && [ $((o_now - o_began)) -ge 100 ]; then die "it failed to start" log; fi
}

o_child=
o_proved=
o_launcher='
    file=$1 program=$2 mask=$(umask)
    umask 077
    line=$(cat /proc/$$/stat)
    set -- ${line##*\) }
    echo "$$ $(cat /proc/sys/kernel/random/boot_id) ${20}" >"$file.id.new" && mv -f -- "$file.id.new" "$file.id" &&
        echo "$$" >"$file.new" && mv -f -- "$file.new" "$file" || exit
    umask "$mask"
    eval "exec $program"
'
