# Expects: tag (of the run and its node). Defines what all scripts here use.
set -u

fail() {
    printf '%s\n' "$1" >&2
    exit 1
}

# The path $1, absolute: relative ones begin in the login directory.
absolute() {
    case $1 in
        /*) printf '%s' "$1" ;;
        "~/"*) printf '%s' "$HOME/${1#"~/"}" ;;
        *) printf '%s' "$PWD/$1" ;;
    esac
}

# The SHA-256 of the file $1.
checksum() {
    set -- "$({ sha256sum 2>/dev/null || openssl dgst -r -sha256; } <"$1")"
    printf '%s' "${1%% *}"
}

# The KiB that are free where $1 is or will be; nothing if the file system does not say.
free_kib() { df -Pk -- "$(nearest "$1")" | sed -n '2s/^.* \([0-9][0-9]*\)  *[0-9][0-9]*%.*$/\1/p'; }

# What is there of the path $1, beginning with its end.
nearest() {
    set -- "$1"
    while [ ! -e "$1" ] && [ ! -L "$1" ]; do
        set -- "${1%/*}"
        set -- "${1:-/}"
    done
    printf '%s' "$1"
}

# Fails if nothing can be made in the directory $1, or it not itself.
may_write() {
    there=$(nearest "$1")
    [ -d "$there" ] || fail "$there is not a directory"
    [ -w "$there" ] && [ -x "$there" ] || fail "$(id -un) may not write in $there (see \`become\`)"
}

# Whether the stage $1 of a pipe, described by $2, ended well: plain sh knows the status of the last stage only.
ended() {
    stage_status=
    read -r stage_status 2>/dev/null <"$work/$1.status"
    [ "$stage_status" = 0 ] || fail "$2 failed (exit status ${stage_status:-not recorded})"
}

# Makes the directory `work` in the directory $1, for what is not to stay.
workshop() {
    tidy "$1"
    work=$(mktemp -d "$1/.opsflow.$tag.$$.XXXXXXXX") || exit 1
    trap 'rm -rf -- "$work"' EXIT
    trap 'exit 143' INT TERM PIPE
}

# Removes from the directory $1 what scripts of this node that were killed have left: its name says whose process made it.
tidy() {
    for left in "$1/.opsflow.$tag."*; do
        maker=${left#"$1/.opsflow.$tag."}
        [ ! -e "$left" ] || alive "${maker%%.*}" || rm -rf -- "$left"
    done
}

# Whether the process $1 runs. One that is dead, and whose parent has not asked for it yet, does not.
alive() {
    kill -0 "$1" 2>/dev/null || return 1
    { state=$(cat "/proc/$1/stat"); } 2>/dev/null
    case ${state##*") "} in [ZX]*) return 1 ;; esac
}

# Removes from `directory` what attempts of this node left unfinished. A backup with a manifest is a good one.
leftovers() {
    rm -rf -- "$directory"/.*-"$tag"-*.partial
    rm -f -- "$directory"/.*-"$tag"-*.manifest
    for left in "$directory"/*-"$tag"-*; do
        data=${left%.manifest.json}
        data=${data%.contents}
        [ -f "${data%.restore}.manifest.json" ] || rm -f -- "$left"
    done
}

# The manifest $1 on one line, without what may be long.
brief() { grep -v '^"rows": ' "$1" | tr -d '\n'; }

# Makes the database that the backup will be tried in. Whether that is allowed is seen before the dump is made.
make_scratch() {
    dismantle || exit 1
    trap 'dismantle; rm -rf -- "$work"' EXIT
    erect || fail "the database $scratch, to try the backup in, cannot be made: verify = \"restore\" takes the right to"
}

# Loads the backup into that database, as a server's restore would, and counts its rows there. What was written to while
# the backup was made cannot be compared.
rehearse() {
    { unpack <"$work/data"; echo $? >"$work/unpack.status"; } | rehearsed | inside client >/dev/null ||
        fail "the backup cannot be restored"
    ended unpack "reading the backup again"
    inside counts | LC_ALL=C sort >"$work/restored"
    counts | LC_ALL=C sort >"$work/after" || fail "the rows of its tables cannot be counted"
    LC_ALL=C sort "$work/rows" | LC_ALL=C comm -12 - "$work/after" >"$work/still"
    lost=$(LC_ALL=C comm -23 "$work/still" "$work/restored" | head -n 3)
    [ -z "$lost" ] || fail "restored, the backup does not have the rows that it should: $lost"
    written=$(LC_ALL=C sort "$work/rows" | LC_ALL=C comm -23 - "$work/still" | sed 's/: [0-9]*$//' | tr '\n' ' ')
    mv -f -- "$work/restored" "$work/rows"
    dismantle || exit 1
    trap 'rm -rf -- "$work"' EXIT
}

# What pg_dump gets for not waiting for ever.
patient=

# Reads a dump, says the SHA-256 of each section, as a member of a JSON object, a line each. $1: rules of awk that call
# section(NAME) where one begins and leave out what is another at each dump.
sections() {
    LC_ALL=C awk '
        function section(name) {
            if (begun) close(hash)
            begun = 1
            gsub(/[\001-\037]/, "?", name)
            gsub(/[\\"]/, "\\\\&", name)
            printf "\"%s\": ", name
            fflush()
            print name | hash
        }
        BEGIN { hash = "sha256sum 2>/dev/null || openssl dgst -r -sha256"; section("settings") }
        '"$1"'
        { print | hash }' | sed 's/": \([0-9a-f]\{64\}\) .*$/": "\1"/'
}

# What the backup holds, in such lines.
copied() { unpack <"$work/data" | contents; }

# What the database holds now.
present() {
    { produce $patient; echo $? >"$work/produce.status"; } | contents
    ended produce "looking at what the database holds"
}

# Whether the file $1 is such lines. None would be equal to none, whatever the database holds.
told() { [ -s "$1" ] && ! grep -qv '": "[0-9a-f]\{64\}"$' "$1"; }

# Such lines, sorted, but for those of the history of migrations.
others() { sed -E "/[^A-Za-z0-9_]$history(_restoring)?[^A-Za-z0-9_]/d" | LC_ALL=C sort; }

# Names what the database holds that is not as the file $1 says, a line each.
differing() {
    present >"$work/present" && told "$work/present" || fail "what the database holds cannot be told"
    told "$1" || fail "$1 is damaged"
    others <"$1" >"$work/before" && others <"$work/present" >"$work/now" || return 1
    LC_ALL=C comm -3 "$work/before" "$work/now" | tr -d '\t' | sed 's/": "[0-9a-f]*"$//; s/^"//' |
        LC_ALL=C sort -u
}

# The file $1 says from now on what the database holds.
remember() {
    new=${1%/*}/.opsflow.$tag.$$.contents
    present >"$work/present" && told "$work/present" && cp -- "$work/present" "$new" && mv -f -- "$new" "$1"
}
