# Servers behind HAProxy, by its runtime API: a socket file or HOST:PORT, `level admin`. One answer a connection.

each_server() { # FUNCTION: at every balancer; with o_socket, o_server, and o_to: the word of o_balance for it, or -
    o_function=$1
    # shellcheck disable=SC2086 # words
    set -- $o_balance
    for o_socket in $o_sockets; do
        for o_server in $o_servers; do
            o_to=${1:--}
            [ $# = 0 ] || shift
            "$o_function"
        done
    done
}

asked() { # COMMAND -> o_reply
    case $o_socket in
        /*) o_peer_port='' o_peer_host=$o_socket ;;
        *) o_peer_port=${o_socket##*:} o_peer_host=${o_socket%:*} ;;
    esac
    o_peer_host=${o_peer_host#[} o_peer_host=${o_peer_host%]}
    can_talk "$o_peer_host" "$o_peer_port" || die "HAProxy at $o_socket cannot be asked: $o_nobody"
    o_reply=$(printf '%s\n' "$1" | talk "$o_peer_host" "$o_peer_port" all 10 2>&1) ||
        die "HAProxy at $o_socket does not answer: $o_reply"
}

balancer_states() { # for the plan hooks: changes nothing
    o_states=
    each_server add_state
    say balancer "$o_states"
}

add_state() {
    asked "show servers state ${o_server%/*}"
    o_state_there=$(printf '%s\n' "$o_reply" | awk -v name="${o_server#*/}" '
        /^# / { for (n = 2; n <= NF; n++) column[$n] = n - 1 }
        column["srv_name"] && $column["srv_name"] == name {
            mask = $column["srv_admin_state"]
            print (mask % 2 ? "maint" : int(mask / 8) % 2 ? "drain" : "ready")
        }')
    [ -n "$o_state_there" ] || die "HAProxy at $o_socket has no server $o_server"
    o_states="$o_states $o_state_there"
}

traffic() { # -> o_serving: sessions of the server; o_status: what HAProxy thinks of it
    asked "show stat"
    o_stat=$(printf '%s\n' "$o_reply" | awk -F, -v backend="${o_server%/*}" -v name="${o_server#*/}" '
        /^# / { sub(/^# /, ""); for (n = 1; n <= NF; n++) column[$n] = n; next }
        $1 == backend && $2 == name { print $column["scur"] " " $column["status"] }')
    o_serving=${o_stat%% *} o_status=${o_stat#* }
    [ -n "$o_stat" ] || die "HAProxy at $o_socket has no server $o_server"
}

balance() { # bring every server to its word of o_balance; one that gets ready has to be taken in
    [ -n "$o_balance" ] || return 0
    each_server turn
    now
    o_late=$((o_now + o_drain_timeout))
    each_server wait_taken_in
}

turn() {
    [ "$o_to" != - ] || return 0
    asked "set server $o_server state $o_to"
    [ -z "$o_reply" ] || die "HAProxy at $o_socket does not set $o_server to $o_to: $o_reply"
}

wait_taken_in() {
    [ "$o_to" = ready ] || return 0
    o_pause=1
    while traffic; do
        case $o_status in UP* | "no check") return ;; esac
        now
        people "$o_drain_timeout"
        [ "$o_now" -lt "$o_late" ] || die "HAProxy at $o_socket does not take $o_server in within $o_seconds: it is $o_status"
        pause
    done
}

serving() { # -> o_served: sessions at all the balancers; whether there are any
    o_served=0
    each_server add_serving
    [ "$o_served" != 0 ]
}

add_serving() {
    traffic
    o_served=$((o_served + o_serving))
}
