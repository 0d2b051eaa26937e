# Bring the service down and make sure that it is.

stop() {
    state
    if [ "$o_state" = running ]; then
        [ -z "$o_drain_command" ] || must drain "$o_drain_timeout" "$o_drain_command"
        quiet_down
        state
    fi
    o_victim=$o_pid o_victim_born=$o_born o_led= o_killed=
    [ "$o_pid" = 0 ] || [ "$o_group" != "$o_pid" ] || o_led=yes
    now
    o_deadline=$((o_now + o_timeout))
    if ! gone; then
        ask_to_stop
        wait_gone
        forget_pidfile
    fi
    [ -z "$o_port" ] || [ -z "$o_confirm" ] || wait_closed
}

quiet_down() { # until nobody is connected any more, or the time for it is over
    now
    o_late=$((o_now + o_drain)) o_pause=0
    while [ "$o_now" -lt "$o_late" ]; do
        if [ -n "$o_port" ] && [ -z "$(sockets 01)" ]; then return; fi
        pause
        now
    done
}

ask_to_stop() {
    case $o_manager in
        systemd) $o_control stop --no-block "$o_service" >&2 || die "systemd does not stop $o_service" ;;
        supervisor) must stop "$o_timeout" "$o_control stop '$o_service'" ;;
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
            if [ "$o_state" = running ] && [ "$o_found" != 0 ] && [ "$o_found" != "$o_victim" ]; then
                die "it came back as pid $o_found: something restarts it"
            fi
        fi
        now
        [ "$o_now" -lt "$o_deadline" ] || kill_or_die
        pause
    done
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
            holder
            die "it is stopped, but port $o_port is still open: $o_holder listens"
        fi
        pause
    done
}
