# What the live release has of the new one is copied from there, and not sent again. Needs awk, find, sha256sum, tar, xargs.
# Manifests hold `SHA256 MODE NAME` a line, with names that need no quoting on a line of its own. Nothing is believed of
# the live release: what was copied is looked at, and what is not as it should be is thrown away, and sent.

reuse() { # standard input: the new release's manifest, packed; says which of its lines need not be sent, as ranges
    gzip -dc >"$o_tmp.files" || die "cannot unpack the list of files"
    copy_same && verify_same || {
        rm -rf -- "$o_tmp" && mkdir -m 755 -- "$o_tmp" || die "cannot make $o_tmp"
        : >"$o_tmp.ok"
    }
    say reused "$(awk '
        NR == FNR { name = substr($0, 6); ok[name]; next }
        substr($0, 71) in ok { if (!last || FNR != last + 1) { out = out span(); first = FNR } last = FNR }
        function span() { return last ? (first == last ? first : first "-" last) "," : "" }
        END { print out span() }' "$o_tmp.ok" "$o_tmp.files")"
    mv -f -- "$o_tmp.files" "$o_tmp/.opsflow-release.files" && rm -f -- "$o_tmp".* || die "cannot write in $o_tmp"
}

copy_same() {
    awk 'NR == FNR { there[$0]; next } $0 in there { print "./" substr($0, 71) }' \
        "$o_at/.opsflow-release.files" "$o_tmp.files" >"$o_tmp.same" || return
    [ -s "$o_tmp.same" ] || return
    # Not every tar reads names from a file. That some are missing does not matter.
    (cd "$o_at/" && umask 022 && tr '\n' '\0' <"$o_tmp.same" |
        xargs -0 sh -c 'tar -cf - "$@" | tar -xof - -C "$0"' "$o_tmp") 2>/dev/null
    # Where a directory stands in the place of a file, all that is in it comes along.
    [ -z "$(find "$o_tmp" -name '*
*' | head -n 1)" ] && find "$o_tmp" ! -type f ! -type d -exec rm -f {} +
}

verify_same() { # -> .ok: `MODE NAME` a line; nothing else is left
    (cd "$o_tmp" && find . -type f | tr '\n' '\0' | xargs -0 sha256sum) >"$o_tmp.sums" || return
    awk -v ok="$o_tmp.ok" -v other="$o_tmp.other" '
        BEGIN { printf "" >ok; printf "" >other }
        NR == FNR { is[substr($0, 71)] = $0; next }
        { name = substr($0, 69); line = is[name] }
        line != "" && substr(line, 1, 64) == substr($0, 1, 64) { print substr(line, 66) >ok; next }
        { print "./" name >other }' "$o_tmp.files" "$o_tmp.sums" || return
    (cd "$o_tmp" && tr '\n' '\0' <"$o_tmp.other" | xargs -0 rm -f) || return
    for o_mode in $(cut -c 1-4 "$o_tmp.ok" | sort -u); do
        (cd "$o_tmp" && sed -n "s,^$o_mode ,./,p" "$o_tmp.ok" | tr '\n' '\0' | xargs -0 chmod "$o_mode") || return
    done
    [ "$(find "$o_tmp" -type f | wc -l)" -eq "$(wc -l <"$o_tmp.ok")" ]
}
