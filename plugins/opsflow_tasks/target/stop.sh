# Bring the service down and make sure that it is.

stop() {
    balance
    state
    if [ "$o_state" = running ]; then
        [ -z "$o_drain_command" ] || must drain "$o_drain_timeout" "$o_drain_command"
        quiet_down
        state
    fi
    o_victim=$o_pid o_victim_born=$o_born o_led= o_killed=
    [ "$o_pid" = 0 ] || [ "$o_group" != "$o_pid" ] || o_led=yes
    now
    o_deadline=$((o_now + o_timeout)) o_asked=
    if ! gone; then
        o_asked=yes
        ask_to_stop
        wait_gone
        forget_pidfile
    fi
    wait_empty
    ended_well
    [ -z "$o_port" ] || [ -z "$o_confirm" ] || wait_closed
    stay_down
}

quiet_down() { # until nobody is served any more, or the time for it is over
    now
    o_late=$((o_now + o_drain)) o_pause=0
    [ "$o_drain" -gt 0 ] || return 0
    while busy; do
        now
        if [ "$o_now" -ge "$o_late" ]; then
            people "$o_drain"
            [ -z "$o_sockets" ] || say note "$o_served sessions were left when $o_seconds for draining were over"
            return
        fi
        pause
    done
}

busy() { # as the balancer counts, or else the target's kernel; nobody knows: then it takes the whole time
    if [ -n "$o_sockets" ]; then
        serving
    elif [ -n "$o_port" ]; then
        [ -n "$(sockets 01)" ]
    fi
}

ask_to_stop() {
    case $o_manager in
        systemd) $o_control stop --no-block "$o_service" >&2 || die "systemd does not stop $o_service" ;;
        supervisor) (apart sh -c "$o_control stop '$o_service'") </dev/null >/dev/null 2>&1 & ;; # it would wait
        *)
            if [ -n "$o_stop" ]; then
                must stop "$o_timeout" "$o_stop"
            elif ! kill -s TERM "$o_victim" 2>/dev/null && alive "$o_victim" "$o_victim_born"; then
                die "this user may not signal pid $o_victim"
            fi
            ;;
    esac
}

wait_gone() {
    o_pause=0
    while :; do
        state
        o_found=$o_pid
        if ! alive "$o_victim" "$o_victim_born"; then
            ! gone || return 0
            if [ "$o_state" = running ] && [ "$o_found" != 0 ] && [ "$o_found" != "$o_victim" ]; then came_back; fi
        fi
        now
        [ "$o_now" -lt "$o_deadline" ] || kill_or_die
        pause
    done
}

came_back() {
    [ "$o_pid" != 0 ] || die "it came back: something restarts it"
    named "$o_parent"
    die "it came back as pid $o_pid: $o_holder restarts it"
}

kill_or_die() {
    o_what="it is $o_state"
    [ "$o_victim" = 0 ] || o_what="pid $o_victim is there"
    [ -z "$o_killed" ] || die "$o_what even after KILL"
    people "$o_timeout"
    [ -n "$o_kill" ] || die "$o_what still, $o_seconds after it was asked to stop (\`kill = true\` would end it)"
    case $o_manager in
        systemd) $o_control kill --signal=KILL "$o_service" >&2 ;;
        supervisor) $o_control signal KILL "$o_service" >&2 ;;
        *) kill_victim ;;
    esac
    o_killed=yes o_deadline=$((o_now + 1000))
}

kill_victim() { # with its group only if it leads it: another's group is not ours to end
    if [ -n "$o_led" ]; then
        kill -s KILL -- "-$o_victim" 2>/dev/null
    elif alive "$o_victim" "$o_victim_born"; then
        kill -s KILL "$o_victim" 2>/dev/null
    else
        die "$o_what, and which process that is cannot be known"
    fi
}

forget_pidfile() { # only one that start_server wrote
    if [ "$o_manager" = pidfile ] && [ -e "$o_pidfile.id" ]; then rm -f -- "$o_pidfile" "$o_pidfile.id"; fi
}

left() { # -> o_left: what systemd has not ended of the unit, since its KillMode says so
    o_left=
    [ "$o_manager" = systemd ] && [ -n "$o_cgroup" ] || return 1
    for o_file in "/sys/fs/cgroup$o_cgroup/cgroup.procs" "/sys/fs/cgroup/systemd$o_cgroup/cgroup.procs"; do
        o_left=$o_left$(tr '\n' ' ' <"$o_file" 2>/dev/null)
    done
    [ -n "$o_left" ]
}

wait_empty() {
    o_pause=0 o_swept=
    while left; do
        now
        if [ "$o_now" -ge "$o_deadline" ]; then
            o_what="processes of it are left: pid ${o_left% }"
            [ -n "$o_kill" ] || die "it is stopped, but $o_what (\`kill = true\` would end them)"
            [ -z "$o_swept" ] || die "$o_what, even after KILL"
            # shellcheck disable=SC2086 # a list
            kill -s KILL $o_left 2>/dev/null
            o_swept=yes o_deadline=$((o_now + 1000))
        fi
        pause
    done
}

ended_well() { # what its manager killed has not ended; what failed is brought to stopped, so that it is that for others, too
    if [ -n "$o_asked" ] && [ -z "$o_kill" ] && was_killed; then
        die "$o_manager had to kill it, since it did not end in time: look at its data (\`kill = true\` would have permitted it)" log
    fi
    [ "$o_state" = failed ] && [ "$o_manager" = systemd ] || return 0
    say note "$o_service is failed ($o_result) and gets reset"
    $o_control reset-failed "$o_service" >&2 || die "systemd does not reset $o_service, which is failed ($o_result)"
    state
    gone || came_back
    [ "$o_state" = stopped ] || die "it is $o_state ($o_result), not stopped" log
}

was_killed() {
    case $o_manager in
        systemd) [ "$o_state" = failed ] && [ "$o_result" = timeout ] ;;
        supervisor) $o_control maintail -4000 2>/dev/null | grep -qF "($o_victim) with SIGKILL" ;;
        *) return 1 ;;
    esac
}

stay_down() { # for the whole window: what restarts it may take its time
    now
    o_late=$((o_now + o_stay_down))
    while [ "$o_now" -lt "$o_late" ]; do
        o_pause=2
        pause
        state
        if ! gone; then # a manager may not yet have seen the end of what ended just now
            pause
            state
        fi
        if ! gone; then
            [ -z "$o_asked" ] || came_back
            stop # a start that was interrupted had begun it before
            return
        fi
        if [ -n "$o_port" ] && [ -n "$o_confirm" ] && listening; then
            holder
            die "port $o_port is open again: $o_holder listens"
        fi
        now
    done
}

wait_closed() {
    o_pause=0
    while listening; do
        now
        if [ "$o_now" -lt "$o_deadline" ]; then
            :
        elif [ -n "$o_kill" ] && [ -n "$o_led" ] && [ -z "$o_killed" ]; then
            kill -s KILL -- "-$o_victim" 2>/dev/null # children that outlived the leader of their group
            o_killed=yes o_deadline=$((o_now + 500))
        else
            still_open
        fi
        pause
    done
}

still_open() {
    holder
    o_what=
    case $o_manager:$o_holder in systemd:"pid 1 ("*) o_what=" for a socket unit, which would start it: stop that, too" ;; esac
    die "it is stopped, but port $o_port is still open: $o_holder listens$o_what"
}
