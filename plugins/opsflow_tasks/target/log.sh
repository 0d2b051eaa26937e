# The end of the service's log; what was written to it since a moment, although it is rotated or truncated meanwhile.
# A log is waited for (no file yet), read on (it grew), truncated (what stood before the mark is not there any more: from its
# beginning), or rotated (another file has its name: the rest of the old one, which is held open, and then the new one).

o_log_most=65536 # bytes that are looked through

mark_log() { # -> o_marked, and what log_since needs; descriptor 8: the file from here on
    o_marked=yes o_mark_file='' o_mark_size=0
    [ -n "$o_log" ] && [ -f "$o_log" ] && [ -r "$o_log" ] || return 0
    exec 8<"$o_log"
    log_file
    o_mark_file=$o_file o_mark_size=$o_size
    before_mark
    o_mark_sum=$o_sum
    dd bs=1 skip="$o_size" count=0 <&8 >/dev/null 2>&1
}

log_file() { # -> o_file, o_size: which file the log is now
    set -f
    # shellcheck disable=SC2046,SC2012 # fields
    set -- $(ls -Lldni -- "$o_log" 2>/dev/null)
    set +f
    o_file=${1:-} o_size=${6:-0}
}

before_mark() { # -> o_sum of the last bytes before the mark
    o_from=$((o_mark_size > 64 ? o_mark_size - 64 : 0))
    o_sum=$(dd if="$o_log" bs=1 skip="$o_from" count="$((o_mark_size - o_from))" 2>/dev/null | od -An -tx1)
}

log_since() { # what was written since mark_log; its end if that was not called
    log_file
    o_since=$o_log_most
    if [ -n "$o_marked" ] && [ -n "$o_mark_file" ]; then
        before_mark
        if [ "$o_file" != "$o_mark_file" ]; then
            cat <&8 | tail -c "$o_log_most"
        elif [ "$o_size" -ge "$o_mark_size" ] && [ "$o_sum" = "$o_mark_sum" ]; then
            o_since=$((o_size - o_mark_size))
            [ "$o_since" -lt "$o_log_most" ] || o_since=$o_log_most
        fi
    fi
    [ "$o_since" = 0 ] || tail -c "$o_since" -- "$o_log" 2>/dev/null
}

o_marked=
