# How the service is and who listens on its port.

# -> o_state (running, starting, stopping, stopped, failed), o_pid (0: not known), o_born, o_group,
#    o_id (becomes another one when the service is restarted)
state() {
    o_state=stopped o_pid=0 o_id= o_born=0 o_group=0
    "state_$o_manager"
    [ "$o_pid" != 0 ] && process "$o_pid" || o_pid=0
    o_id=$o_pid.$o_born.$o_id
}

gone() { [ "$o_state" = stopped ] || [ "$o_state" = failed ]; }

state_systemd() {
    o_shown=$($o_control show -p LoadState -p ActiveState -p MainPID -p NRestarts "$o_service" 2>&1) ||
        die "systemd does not answer: $o_shown"
    o_active=
    while IFS='=' read -r o_key o_value; do
        case $o_key in
            LoadState) [ "$o_value" != not-found ] || die "there is no unit $o_service" ;;
            ActiveState) o_active=$o_value ;;
            MainPID) o_pid=$o_value ;;
            NRestarts) o_id=$o_value ;;
        esac
    done <<END
$o_shown
END
    case $o_active in
        active | reloading | refreshing) o_state=running ;;
        activating | maintenance) o_state=starting ;;
        deactivating) o_state=stopping ;;
        failed) o_state=failed ;;
        inactive) ;;
        *) die "systemd does not say how $o_service is: $o_shown" ;;
    esac
}

state_supervisor() {
    o_shown=$($o_control status "$o_service" 2>&1)
    set -f
    set -- $o_shown
    set +f
    case ${2:-} in
        RUNNING) o_state=running o_pid=${4%,} ;;
        STARTING | BACKOFF) o_state=starting ;;
        STOPPING) o_state=stopping ;;
        FATAL) o_state=failed ;;
        STOPPED | EXITED) ;;
        *) die "supervisor does not know $o_service: $o_shown" ;;
    esac
}

state_pidfile() {
    [ -e "$o_pidfile" ] || return 0
    [ -r "$o_pidfile" ] || die "$o_pidfile cannot be read"
    read -r o_pid o_rest <"$o_pidfile"
    case $o_pid in "" | *[!0-9]*) o_pid=0 ;; esac
    if [ "$o_pid" != 0 ] && process "$o_pid" && same_process; then
        o_state=running
    else
        o_pid=0 # the file is stale
    fi
}

same_process() { # whether the process is the one that the file was written for
    if [ -r "$o_pidfile.id" ]; then
        read -r o_his_pid o_his_boot o_his_born <"$o_pidfile.id"
        if [ "$o_his_pid" = "$o_pid" ]; then
            [ "$o_his_boot $o_his_born" = "$(cat /proc/sys/kernel/random/boot_id) $o_born" ]
            return
        fi
    fi
    [ -n "$o_process" ] || return 0
    case $(tr '\0' ' ' <"/proc/$o_pid/cmdline") in *"$o_process"*) ;; *) return 1 ;; esac
}

state_commands() {
    if [ -n "$o_status" ]; then
        look_up "$o_status"
        case $? in
            0) o_state=running ;;
            126 | 127) die "the status command cannot be run: $o_status" ;;
        esac
    elif listening; then
        o_state=running
    fi
}

# The port, from the kernel's own tables. Columns: 2 local address, 4 state (0A listening, 01 connected), 10 inode.

sockets() { # STATE: inodes of the port's sockets in that state, one a line
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        awk -v port="$o_port_hex" -v addresses=" $o_addresses " -v state="$1" '
            $4 "" == state "" {
                split($2, at, ":") # as text: 00E1 and 00E5 are the same number
                if (at[2] "" == port "" && (addresses == "  " || index(addresses, " " at[1] " "))) print $10
            }'
}

listening() { # -> o_inode
    o_inode=$(sockets 0A)
    o_inode=${o_inode%%[!0-9]*}
    [ -n "$o_inode" ]
}

holder() { # -> o_holder: who listens, as far as this user may see
    o_holder="a process that this user may not see"
    for o_dir in /proc/[0-9]*; do
        if ls -l "$o_dir/fd" 2>/dev/null | grep -qF "socket:[$o_inode]"; then
            o_holder="pid ${o_dir#/proc/} ($(cat "$o_dir/comm" 2>/dev/null))"
            return
        fi
    done
}

for o_name in cwd pidfile log; do
    eval "absolute \"\$o_$o_name\"; o_$o_name=\$o_path"
done
[ -z "$o_port" ] || [ -r /proc/net/tcp ] || die "which ports are open cannot be seen: no /proc/net/tcp"
