# What is removed, and when.

# Remove what uploads have left half done.
drop() {
    set +f
    for note in "$1"*.tmp; do
        set -f
        [ ! -f "$note" ] || rm -f -- "$(cat "$note")" "$note"
    done
    set -f
}

# The outcome of attempts is durable: what else is kept of them than their gates goes, many at a time.
clean() {
    for attempt in $1; do
        finished="$finished $attempt" count=$((count + 1))
    done
    if [ "$count" -ge 32 ] || [ "$written" -ge 16777216 ]; then tidy; fi
}

tidy() {
    set --
    for attempt in $finished; do
        n=1
        while [ -e "$dir/$attempt.$n.go" ]; do
            set -- "$@" "$dir/$attempt.$n.out" "$dir/$attempt.$n.err" "$dir/$attempt.$n.in" "$dir/$attempt.$n.by"
            case $attempt in r*) set -- "$@" "$dir/$attempt.$n.go" ;; esac # reads: only operations need to be remembered
            n=$((n + 1))
            [ $# -lt 200 ] || { rm -f "$@" && set --; } # a program takes only so many
        done
    done
    finished='' count=0 written=0
    [ $# = 0 ] || rm -f "$@"
}

# What runs left here that nobody came back to for a month. At most once a day, when a connection is over.
sweep() {
    clock
    day="$boot $((now / 86400))" last=
    { IFS= read -r last <"$base/swept"; } 2>/dev/null
    [ "$last" != "$day" ] || return 0
    echo "$day" >"$base/swept"
    find "$base/." ! -name . -prune -type d -mtime "+$kept" | while IFS= read -r old; do
        old=${old##*/}
        busy "$old" && continue
        # Out of the way first, since a connection may come: one that was there by then is seen now.
        mv "$base/$old" "$base/old.$$" || continue
        if busy "old.$$"; then
            mv "$base/old.$$" "$base/$old"
        else
            drop "$base/old.$$/"
            rm -rf "$base/old.$$"
        fi
    done
}

# The run is over: nobody starts anything in its name again, unless a later epoch comes.
release() {
    if ! ours; then # a later owner works here
        say Z "$run"
        return
    fi
    drop "$dir/"
    echo over >>"$dir/epoch" || return
    set --
    read -r mine <"$claims"
    [ "$mine" != "$run $epoch" ] || set -- "$claims"
    set +f
    for file in "$dir"/*; do
        case $file in */epoch) ;; *) set -- "$@" "$file" ;; esac
        [ $# -lt 200 ] || { rm -rf "$@" && set --; }
    done
    set -f
    if [ $# = 0 ] || rm -rf "$@"; then say Z "$run"; fi
}
