# Who answers, and alone writes to the connection.

# Answers, and what needs a clock.
mouth() {
    exec <"$home/mouth" >&9 9>&-
    trap : HUP INT TERM
    trap '' PIPE # the connection may go while it is written to; what there is to do then is done below
    asked=' ' due='' alarm='' rings=0
    finished='' count=0 written=0
    while :; do
        while read -r what op a b c; do
            case $what in
            D) ended "$op" "$a" "$b" "${c% *}" "${c#* }" ;;
            A) answer "$op" "$a" 0 0 ;;
            P) follow "$op" && answer "$op" "$a" "$b" "$c" ;;
            B) clock && due="$due $op:$((now + a + 1))" && wake $((a + 1)) ;;
            T) ring ;;
            N) if ours; then fence "$op" "$a"; else say F "$op"; fi ;;
            Q) if late "$op" "$a"; then say F "$op"; else recall "$op"; fi ;;
            C) ! ours || clean "$op $a $b $c" ;;
            Z) release ;;
            F | X) forget "$op" && say "$what" "$op" "$a $b $c" ;;
            esac
        done
        # The connection is gone. Timeouts go on; not so where a later owner has ended the run, and took the pipe away.
        hang_up
        exec >/dev/null
        if [ ! "$due" ] || [ ! -p "$home/mouth" ]; then break; fi
        read -r what op a b c <>"$home/mouth"
        case $what in D | F | X) forget "$op" ;; T) ring ;; esac
    done
    hush
    tidy
    sweep
}

# Its output is asked for from now on.
follow() {
    case $asked in *" $1 "*) ;; *) asked="$asked$1 " ;; esac
}

say() { printf '\n%s %s\n' "$nonce" "$*"; }

ended() {
    forget "$1"
    case $4 in -) ;; *) written=$((written + $4 + $5)) ;; esac
    case $asked in
    *" $1 "*) # the rest is asked for, from where that came to
        asked=${asked%%" $1 "*}" "${asked#*" $1 "}
        say E "$1" "$2" "$3" 0 0 -
        ;;
    *) outputs E "$1" "$2 $3" 0 0 "$4" "$5" ;;
    esac
}

# One answer with what came of both streams from these places on; last, if it is known, how much there is of each.
outputs() {
    has=
    [ ! -s "$dir/$2.out" ] || has=o
    [ ! -s "$dir/$2.err" ] || has=${has}e
    say "$1" "$2" "$3" "$4" "$5" "${has:-.}"
    case $has in *o*) part "$dir/$2.out" "$4" "${6--}" ;; esac
    case $has in *e*) part "$dir/$2.err" "$5" "${7--}" ;; esac
}

part() {
    if [ "$2" -ge "$most" ]; then # some `tail` read all that comes before
        dd if="$1" bs="$most" skip=$(($2 / most)) count=2 | tail -c +$(($2 % most + 1)) | head -c "$most"
    elif [ "$2" != 0 ]; then
        tail -c +$(($2 + 1)) "$1" | head -c "$most"
    elif [ "$3" != - ] && [ "$3" -le "$small" ] && whole "$1"; then
        printf '%s' "$text"
    else
        head -c "$most" "$1"
    fi
    printf '\n%s\n' "$nonce"
}

# Read a small file without a process of its own: sets text. False if that is not all of it: shells leave out NUL, and
# some count characters; where its descriptor stands tells the bytes.
whole() {
    text=
    {
        while IFS= read -r line; do text=$text$line$newline; done
        text=$text$line
        read -r stat at </proc/self/fdinfo/3
    } 3<"$1" <&3
    [ ${#text} = "$at" ]
}

# What is known of an operation: op, hash, places in its streams.
answer() {
    if ! look "$1"; then
        say N "$1" "$boot"
        return
    fi
    case $state in
    '') # made, and not said by whom
        if fresh "$1"; then say G "$1"; else outputs L "$1" "reboot -" "$3" "$4"; fi
        ;;
    f) say F "$1" ;;
    *)
        [ "$2" = "$hash" ] || [ "$2" = - ] || {
            say M "$1"
            return
        }
        if [ "$state" != e ] && ! alive "$life" "$owner"; then
            look "$1" # it may have ended between the two looks
        elif [ "$state" != e ]; then
            outputs R "$1" "- -" "$3" "$4"
            return
        fi
        if [ "$state" = e ]; then
            [ "$life" = "$boot" ] || flag=${flag}b # written before a reboot: the status is true, output may be cut
            outputs E "$1" "$kid ${flag:--}" "$3" "$4"
        elif [ "$life" = "$boot" ]; then
            outputs L "$1" "killed -" "$3" "$4"
        else
            outputs L "$1" "reboot -" "$3" "$4"
        fi
        ;;
    esac
}

# The record of an attempt: its operations in order, each with what was read before it. Of one that is not written to its
# end it is only told that it is there.
recall() {
    n=1
    while look "$1.$n"; do
        { read -r stat && read -r stat && IFS= read -r seen; } 2>/dev/null <"$dir/$1.$n.go" || hash='' seen=''
        say V "$1" "${hash:--} $seen"
        n=$((n + 1))
    done
    say V "$1" .
}
