# What every task's target side begins with. Needs: sh, awk, mktemp, Linux's /proc.
# Before this text stand `o_NAME=value` lines; `say` talks to the controller on stdout, a line each; everything that
# own commands print goes to stderr.

say() { printf '%s %s\n' "$1" "$2"; }

die() { # WHY ["log": attach the last lines of the service's log]
    say error "$1"
    [ "${2:-}" = log ] && last_lines
    exit 1
}

last_lines() {
    if [ -n "$o_log" ]; then
        log_since | tail -n 15
    elif [ "$o_manager" = systemd ]; then
        journalctl -u "$o_service" -n 15 --no-pager -o cat 2>/dev/null
    elif [ "$o_manager" = supervisor ]; then
        for o_stream in stdout stderr; do $o_control tail -2000 "$o_service" "$o_stream" 2>/dev/null; done | tail -n 15
    fi | sed 's/^/log /'
}

# Time: hundredths of a second since boot, so that a clock being set does not matter.

now() { # -> o_now
    read -r o_up o_idle </proc/uptime
    o_now=${o_up%.*}${o_up#*.}
}

people() { # HUNDREDTHS -> o_seconds, for people
    o_seconds=$(($1 / 100))
    [ $(($1 % 100)) = 0 ] || o_seconds=$o_seconds.$(printf %02d $(($1 % 100)))
    o_seconds="$o_seconds s"
}

pause() { # longer each time since o_pause was set to 0
    case $o_pause in 0) set 0.02 ;; 1) set 0.05 ;; 2) set 0.1 ;; 3) set 0.2 ;; *) set 0.4 ;; esac
    sleep "$1" 2>/dev/null || sleep 1 # POSIX knows whole seconds only
    o_pause=$((o_pause + 1))
}

absolute() { # PATH -> o_path: relative ones begin in the login directory
    case $1 in
        "" | /*) o_path=$1 ;;
        "~") o_path=$HOME ;;
        "~/"*) o_path=$HOME/${1#"~/"} ;;
        *) o_path=$PWD/$1 ;;
    esac
}

# The user's commands

enter() { [ -z "$o_cwd" ] || cd -- "$o_cwd"; }

apart() { # PROGRAM ARGUMENTS...: in a session of its own, without our pipes, so that what it leaves behind is free
    enter && exec $o_setsid "$@" 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&-
}

look_up() { # COMMAND: one that only looks
    (enter && exec $o_limit sh -c "$1") </dev/null >&2
}

must() { # WHAT HUNDREDTHS COMMAND: has to end with 0 within the time
    o_out=$(mktemp) || die "no temporary file can be made"
    (apart sh -c "$3") </dev/null >"$o_out" 2>&1 &
    o_job=$! o_exit= o_pause=0
    now
    o_late=$((o_now + $2))
    while process "$o_job"; do
        now
        [ "$o_now" -lt "$o_late" ] || break
        pause
    done
    if process "$o_job"; then
        kill -s KILL -- "-$o_job" 2>/dev/null || kill -s KILL "$o_job" 2>/dev/null
        people "$2"
        o_exit="did not end within $o_seconds"
    fi
    wait "$o_job" 2>/dev/null || o_exit=${o_exit:-ends with $?}
    cat "$o_out" >&2
    o_said=$(tail -n 1 "$o_out")
    rm -f "$o_out"
    [ -z "$o_exit" ] || die "the $1 command $o_exit${o_said:+: $o_said}" log
}

# Processes

process() { # PID -> o_parent, o_group, o_born (clock ticks since boot); false if there is no such process; a zombie is none
    o_line=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    set -- ${o_line##*\) }
    case ${1:-Z} in Z | X) return 1 ;; esac
    o_parent=$2 o_group=$3 o_born=${20}
}

alive() { # PID BORN: that very process, not another one that got its number
    [ "$1" != 0 ] && process "$1" && [ "$o_born" = "$2" ]
}

CDPATH=
o_setsid=nohup
command -v setsid >/dev/null && o_setsid=setsid
o_limit=
command -v timeout >/dev/null && o_limit="timeout 30"
