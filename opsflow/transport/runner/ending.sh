# How operations are ended: asked for, fenced, or their time over.

# End an operation, for the reason that becomes its flag: what has not begun never will; what runs gets SIGTERM, and
# SIGKILL five seconds later. What begins just now finds the mark: it is made before the look.
stop() {
    if (set -C && printf '%-9s\n' f >"$dir/$1.go"); then
        say F "$1"
        return
    fi
    (set -C && echo "$2" >"$dir/$1.by")
    if look "$1" && runs "$1"; then
        (
            aim "$kid"
            # shellcheck disable=SC2086 # several
            kill -TERM $whom
            # What was stopped goes on, to its end; its supervisor too.
            # shellcheck disable=SC2086
            kill -CONT $whom "${owner%%:*}"
            sleep 5
            for entry in $known; do
                ! alive "$boot" "$entry" || kill -KILL "${entry%%:*}"
            done
            [ ! "$session" ] || ! look "$1" || ! runs "$1" || kill -KILL "-$kid"
        ) </dev/null >/dev/null &
    fi
}

# Nothing more of an attempt is started; what runs of it is ended, if so asked. Says what there is that has not ended.
fence() {
    true >>"$dir/$1.no" || return
    left=
    set +f
    for gate in "$dir/$1".*.go; do
        set -f
        op=${gate##*/} && op=${op%.go}
        look "$op" || continue
        case $state in e* | f*) continue ;; esac
        [ "$2" != k ] || stop "$op" k
        look "$op"
        case $state in
        '') ! fresh "$op" || left=$left. ;;
        *) ! works "$op" || left=${left}r ;;
        esac
    done
    set -f
    [ "$left" ] || drop "$dir/$1."
    say N "$1" "${left:-over}"
}

forget() {
    left=
    for entry in $due; do
        case $entry in "$1":*) ;; *) left="$left $entry" ;; esac
    done
    due=$left
}

# One alarm serves all: it is set anew only for an operation whose time ends before it rings.
wake() {
    [ "$rings" = 0 ] || [ $((now + $1)) -lt "$rings" ] || return 0
    hush
    rings=$((now + $1))
    # shellcheck disable=SC2016 # it is expanded there
    $session sh -c 'sleep "$1"; echo T 1<>"$2"' sh "$1" "$home/mouth" </dev/null >/dev/null &
    alarm=$!
}

# By its id first: it may not have a group of its own yet, and then it never will.
hush() {
    [ "$alarm" ] || return 0
    aim "$alarm"
    kill -KILL "$alarm"
    # shellcheck disable=SC2086 # several
    kill -KILL $whom
}

ring() {
    clock
    rings=0 alarm='' left='' first=
    for entry in $due; do
        if [ "${entry#*:}" -le "$now" ]; then
            stop "${entry%%:*}" t
        else
            left="$left $entry"
            [ "$first" ] && [ "$first" -le "${entry#*:}" ] || first=${entry#*:}
        fi
    done
    due=$left
    [ ! "$first" ] || wake $((first - now))
}
