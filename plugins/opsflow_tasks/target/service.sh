# How the service is.

# -> o_state (running, starting, stopping, stopped, failed), o_pid (0: not known), o_born, o_group,
#    o_id (becomes another one when the service is restarted)
state() {
    [ "$o_manager" != auto ] || find_manager
    ask_state
    if [ "$o_pid" != 0 ] && ! process "$o_pid"; then # it has ended since that was asked
        ask_state
        [ "$o_pid" = 0 ] || process "$o_pid" || o_pid=0
    fi
    o_id=$o_pid.$o_born.$o_id
}

ask_state() {
    o_state=stopped o_pid=0 o_id= o_born=0 o_group=0 o_result=
    "state_$o_manager"
}

find_manager() { # -> o_manager, o_control: the first that knows the service
    o_said=
    for o_each in systemd:systemctl supervisor:supervisorctl; do
        o_control=${o_each#*:}
        command -v "$o_control" >/dev/null || continue
        if o_found=$("state_${o_each%:*}"); then
            o_manager=${o_each%:*}
            return
        fi
        o_found=${o_found#error }
        case $o_said:$o_found in
            :*) o_said=$o_found ;;
            *:*"does not answer"*) ;; # one that is not in use here has nothing to add
            *) o_said="$o_said; $o_found" ;;
        esac
    done
    die "${o_said:-"neither systemctl nor supervisorctl is there: give \`pidfile\`, or \`start\`, \`stop\` and \`status\`"}"
}

gone() { [ "$o_state" = stopped ] || [ "$o_state" = failed ]; }

state_systemd() {
    o_shown=$($o_control show -p LoadState -p ActiveState -p MainPID -p NRestarts -p Result -p ControlGroup \
        "$o_service" 2>&1) ||
        die "systemd does not answer: $o_shown"
    o_active=
    while IFS='=' read -r o_key o_value; do
        case $o_key in
            LoadState) [ "$o_value" != not-found ] || die "there is no unit $o_service" ;;
            ActiveState) o_active=$o_value ;;
            MainPID) o_pid=$o_value ;;
            NRestarts) o_id=$o_value ;;
            Result) o_result=$o_value ;;
            ControlGroup) [ -z "$o_value" ] || o_cgroup=$o_value ;; # gone with the last process
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
        *)
            case $o_shown in
                *"(no such "*) die "supervisor has no program $o_service" ;;
                *) die "supervisor does not answer: $o_shown" ;;
            esac
            ;;
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
        [ -z "$o_limit" ] || o_limit="timeout 30" # no matter how little time is left to become healthy
        look_up "$o_status"
        case $? in
            0) o_state=running ;;
            126 | 127) die "the status command cannot be run: $o_status" ;;
        esac
    elif listening; then
        o_state=running
    fi
}

o_cgroup=
for o_name in cwd pidfile log; do
    eval "absolute \"\$o_$o_name\"; o_$o_name=\$o_path"
done
