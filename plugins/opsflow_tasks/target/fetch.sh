# An archive that the target fetches itself: nobody has looked into it, so it is looked into here. Needs curl or wget.

fetch() {
    umask 077
    if command -v curl >/dev/null; then
        o_said=$(curl -fsSL --proto '=http,https' --connect-timeout "$o_stall" --speed-limit 1 --speed-time "$o_stall" \
            -o "$o_archive" "$o_url" 2>&1) || die "cannot fetch $o_url: $o_said"
    elif command -v wget >/dev/null; then
        o_tries=
        ! wget --version >/dev/null 2>&1 || o_tries=--tries=2 # GNU's, which would try twenty times
        o_said=$(wget -q -T "$o_stall" $o_tries -O "$o_archive" "$o_url" 2>&1) || die "cannot fetch $o_url: $o_said"
    else
        die "$o_url cannot be fetched: neither curl nor wget is there"
    fi
    checksum "$o_archive"
    [ "$o_sum" = "$o_sha256" ] || die "$o_url has the SHA-256 $o_sum, not $o_sha256"
    inspect
}

# The rules for archives that the control machine repacks, applied to a listing such as
#   lrwxrwxrwx 0/0  0 2024-01-31 12:00 bin/tool -> ../lib/tool
inspect() {
    o_listing=$(mktemp) || die "no temporary file can be made"
    tar -t"$o_gzip"v --numeric-owner -f "$o_archive" >"$o_listing" 2>/dev/null ||
        die "$o_url cannot be listed: is it a tar archive?"
    o_bad=$(awk -v limit="$o_max_size" '
        function refuse(why) { print why ": " $0; exit }
        !/^[-dl][-rwxsStT]+ +[0-9]+\/[0-9]+ +[0-9]+ [0-9]+-[0-9]+-[0-9]+ [0-9:]+ / { refuse("not a file, directory or link") }
        {
            total += $3
            if (total > limit) refuse("it would take more than " limit " bytes")
            line = $0
            sub(/^[^ ]+ +[^ ]+ +[0-9]+ [^ ]+ [^ ]+ /, "", line)
            kind = substr($0, 1, 1)
            parts = kind == "l" ? split(line, half, / -> /) : 1
            if (kind == "l" ? parts != 2 : line ~ / -> /) refuse("not a file, directory or link") # a hard link, perhaps
            name = kind == "l" ? half[1] : line
            if (name ~ /^\// || "/" name "/" ~ /\/\.\.\//) refuse("outside of the release")
            gsub(/\/(\.?\/)*/, "/", name); sub(/^(\.\/)+/, "", name); sub(/\/\.?$/, "", name)
            if (name == "" || name == ".") next
            if (name ~ /^\.opsflow-release/) refuse("a name that opsflow uses")
            if (kind != "d" && name in seen || name in other) refuse("there twice")
            if (kind == "l" && leads_out(name, half[2])) refuse("a link that may lead out of the release")
            if (kind != "d") other[name]
            seen[name]
            while (match(name, /\/[^\/]*$/)) {
                name = substr(name, 1, RSTART - 1)
                if (name in other) refuse("behind a link or a file")
                seen[name]
            }
        }
        function leads_out(name, target,   depth) {
            if (target == "" || target ~ /^\//) return 1
            depth = gsub(/\//, "/", name)
            for (;;) {
                if (sub(/^\.\/+/, "", target)) continue
                if (!sub(/^\.\.(\/+|$)/, "", target)) break
                if (--depth < 0) return 1
            }
            return "/" target "/" ~ /\/\.\.\//
        }' "$o_listing")
    rm -f "$o_listing"
    [ -z "$o_bad" ] || die "$o_url is not safe to unpack: $o_bad"
}
