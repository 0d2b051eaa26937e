# Wait for something.

met() { # -> o_why if not
    o_why=
    if [ -n "$o_port" ]; then "port_${o_absent:+not_}met"; fi
    if [ -z "$o_why" ] && [ -n "$o_file" ]; then "file_${o_absent:+not_}met"; fi
    if [ -z "$o_why" ]; then content; fi
    [ -z "$o_why" ]
}

port_met() { open || o_why="port $o_port ${o_host:+of $o_host }is not open${o_refused:+: $o_refused}"; }

port_not_met() { ! open || o_why="port $o_port ${o_host:+of $o_host }is open"; }

open() {
    o_refused=
    if [ -z "$o_host" ]; then
        listening
    else
        can_talk "$o_host" "$o_port" || die "port $o_port of $o_host cannot be tried: $o_nobody"
        bound 5
        o_refused=$(talk "$o_host" "$o_port" none "$o_most" </dev/null 2>&1)
        case $? in
            0) ;;
            *)
                o_refused=$(printf '%s\n' "$o_refused" | sed -n '$s/^.* socat\[[0-9]*\] [A-Z] //; $p')
                return 1
                ;;
        esac
    fi
}

file_met() {
    if [ ! -e "$o_file" ]; then
        o_why="$o_called is not there"
    elif [ -n "$o_contains" ] && ! grep -qF -e "$o_contains" -- "$o_file" 2>/dev/null; then
        o_why="$o_called does not contain \"$o_contains\""
    fi
}

file_not_met() {
    if [ -n "$o_contains" ]; then
        ! grep -qF -e "$o_contains" -- "$o_file" 2>/dev/null || o_why="$o_called contains \"$o_contains\""
    elif [ -e "$o_file" ] || [ -L "$o_file" ]; then
        o_why="$o_called is there"
    fi
}

look() { met || say unmet "$o_why"; }

wait_until_met() {
    now
    o_deadline=$((o_now + o_timeout)) o_until=$o_deadline o_passed=0
    while :; do
        if met; then
            o_passed=$((o_passed + 1))
            [ "$o_passed" -lt "$o_passes" ] || return 0
            o_why="it held only $o_passed of $o_passes times in a row"
        else
            o_passed=0
        fi
        now
        if [ "$o_now" -ge "$o_deadline" ]; then
            people "$o_timeout"
            die "$o_why, after $o_seconds"
        fi
        rest "$((o_deadline - o_now < o_every ? o_deadline - o_now : o_every))"
    done
}

o_called=$o_file
absolute "$o_file"
o_file=$o_path
