# Who watches over operations, one at a time each: gate, payload in a session of its own, status.

# One operation after another.
slot() {
    exec <"$home/$slot" >/dev/null 9>&- # with exec, or else dash keeps copies, and the connection would never end
    identify
    trap : HUP INT TERM # caught, not ignored: commands get the defaults
    set -C
    text='' long='' body='' seen=''
    while IFS= read -r line; do
        case $line in
        'T '*) text=$text${line#T }$newline ;;
        'L '*) long=${line#L } ;;
        'H '*) body=$body${line#H }$newline ;;
        'I '*) body=${line#I } ;;
        'R '*) seen=${line#R } ;;
        *)
            # shellcheck disable=SC2086 # words
            set -- $line # op hash input
            op=$1 hash=$2 input=$3 file=$dir/$1 opened=
            { opened=1 && begin; } 3>>"$file.out" 4>>"$file.err" || [ "$opened" ] || cannot
            text='' long='' body='' seen=''
            ;;
        esac
    done
}

# Everything that may fail comes before the gate.
begin() {
    mine= # not what an earlier operation read: there is no claim once the run is over
    read -r mine <"$claims"
    if [ "$mine" != "$run $epoch" ]; then
        tell F "$op"
    elif ! true >"$file.go"; then
        if [ -e "$file.go" ]; then tell A "$op" "$hash"; else cannot; fi
    elif [ -e "$dir/${op%.*}.no" ]; then # after the gate: who fences looks at the gates after that
        printf '%-9s\n' f >>"$file.go"
        tell F "$op"
    elif ! raw "-        $newline$hash $boot $who$newline$seen" >>"$file.go"; then # as one write, even in bash
        rm -f "$file.go" # its maker, alive: nobody else can have started it
        cannot
    else
        supervise
    fi
}

# It certainly does not begin.
cannot() {
    ask_why "$dir"
    tell X "$op" "$why"
}

supervise() {
    if [ "$long" ]; then
        decoded "$long" | { payload "$through"; } 5<&0
    else
        payload "$text"
    fi
    status=$? flag=-
    [ ! -e "$file.by" ] || outlast
    printf %4096s '' >>"$home/room" || flag=${flag#-}o # the disk is full: output may not be whole
    true >|"$home/room"
    printf 'e %-7s' "$status $flag" 1<>"$file.go"
    # How much it wrote: where the descriptors stand that it had from us.
    { read -r stat out </proc/self/fdinfo/3 && read -r stat err </proc/self/fdinfo/4; } || out=- err=-
    exec 3>&- 4>&- # who hears of its end may want the disk for itself
    tell D "$op" "$status" "$flag" "$out" "$err"
}

# What it is to do is in its environment, until it has read that.
# It takes its stderr itself: what our shell says of its end ("Killed") is no output of it.
payload() {
    case $input$here in
    h1) _opsflow=$1 $session sh -c "$inner" sh "$file" "$mask" >&3 3>&- <<. ;;
${body%?}
.
    h) raw "${body%?}" | _opsflow=$1 $session sh -c "$inner" sh "$file" "$mask" >&3 3>&- ;;
    p*) decoded "$body" | _opsflow=$1 $session sh -c "$inner" sh "$file" "$mask" >&3 3>&- ;;
    f*) _opsflow=$1 $session sh -c "$inner" sh "$file" "$mask" <"$file.in" >&3 3>&- ;;
    *) _opsflow=$1 $session sh -c "$inner" sh "$file" "$mask" </dev/null >&3 3>&- ;;
    esac
}

# An operation was to end, and its shell has: those of its group that clean up have five seconds too.
outlast() {
    look "$op"
    read -r flag <"$file.by"
    clock
    ends=$((now + 5))
    while [ "$session" ] && kill -0 "-$kid" && [ "$now" -lt $((ends + 3)) ]; do
        [ "$now" -lt "$ends" ] || kill -KILL "-$kid"
        sleep 0.1 || sleep 1
        clock
    done
}

# What a payload's shell does first: say who it is, see whether it is to be, forget what it was told.
# shellcheck disable=SC2016 # it is expanded there
inner=$_opsflow_back'{ printf "r %-7s" "$$" 1<>"$1.go"; } 2>/dev/null
if [ -e "$1.by" ]; then exit 143; fi
exec 2>&4 4>&-
umask "$2"
set -- "$_opsflow"
unset _opsflow
eval "shift
$1"'
# What is too long for that comes through a pipe.
# shellcheck disable=SC2016 # it is expanded there
through='set -- "$(cat <&5)"
exec 5<&-
eval "shift
$1"'
