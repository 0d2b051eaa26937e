# Does what runs answer as it should.

content() { # -> o_why if not
    o_why=
    if [ -n "$o_banner" ] && ! greets; then
        : # which says why, like the next
    elif [ -n "$o_http" ] && ! answers; then
        :
    elif [ -n "$o_check" ]; then
        passes
    fi
    [ -z "$o_why" ]
}

passes() {
    room
    bound 30
    look_up "$o_check" 2>"$o_got/said" || o_why="the check ends with $?: $o_check"
    cat "$o_got/said" >&2
    [ -n "$o_why" ] || return 0
    o_said=$(tail -n 1 "$o_got/said" | tr -d '[:cntrl:]' | cut -c 1-200)
    [ -z "$o_said" ] || o_why="$o_why (\"$o_said\")"
}

room() { # -> o_got: a directory for what was got
    [ -z "$o_got" ] || return 0
    o_got=$(mktemp -d) || die "no temporary directory can be made"
    trap 'rm -rf "$o_got"' EXIT
}

bound() { # SECONDS: what is asked next gets at most so many, and none after o_until -> o_most, o_limit
    o_most=$1
    if [ -n "$o_until" ]; then
        now
        o_rest=$(((o_until - o_now + 99) / 100))
        [ "$o_rest" -ge "$o_most" ] || o_most=$o_rest
        [ "$o_most" -ge 1 ] || o_most=1
    fi
    [ -z "$o_limit" ] || o_limit="timeout $o_most"
}

greets() {
    bound 5
    can_talk "$o_peer" "$o_port" || die "port $o_port cannot be talked to: $o_nobody"
    o_greeting=$(talk "$o_peer" "$o_port" first "$o_most" </dev/null 2>&1 | head -n 1 | tr -d '[:cntrl:]')
    case $o_greeting in
        *"$o_banner"*) ;;
        "") o_why="port $o_port says nothing, not \"$o_banner\"" ;;
        *) o_why="port $o_port says \"$o_greeting\", not \"$o_banner\"" ;;
    esac
    [ -z "$o_why" ]
}

answers() {
    room
    bound 10
    : >"$o_got/head" && : >"$o_got/body" && : >"$o_got/said"
    if command -v curl >/dev/null; then
        curl -sS --globoff --max-time "$o_most" -D "$o_got/head" -o "$o_got/body" "$o_http" 2>"$o_got/said"
    elif command -v wget >/dev/null; then
        o_options=-q
        ! wget --version >/dev/null 2>&1 || o_options="-nv --tries=1 --max-redirect=0 --content-on-error" # GNU's
        # shellcheck disable=SC2086 # words
        $o_limit wget -S $o_options -O "$o_got/body" "$o_http" 2>"$o_got/head"
    else
        answers_plainly 2>"$o_got/said"
    fi
    judge
    [ -z "$o_why" ]
}

answers_plainly() { # without curl and wget; what is `http://HOST:PORT/PATH`
    o_rest=${o_http#http://}
    o_where=${o_rest%%/*}
    case $o_where in
        *]:*) o_at_port=${o_where##*:} o_at=${o_where%:*} ;;
        *] | "${o_where%:*}") o_at_port=80 o_at=$o_where ;;
        *) o_at_port=${o_where##*:} o_at=${o_where%:*} ;;
    esac
    o_at=${o_at#[} o_at=${o_at%]}
    if [ "$o_rest" = "$o_http" ] || ! can_talk "$o_at" "$o_at_port"; then
        die "$o_http cannot be asked: neither curl nor wget is there"
    fi
    o_ask=${o_rest#"$o_where"}
    printf 'GET %s HTTP/1.0\r\nHost: %s\r\nConnection: close\r\n\r\n' "${o_ask:-/}" "$o_where" |
        talk "$o_at" "$o_at_port" all "$o_most" |
        awk -v head="$o_got/head" -v body="$o_got/body" '
            { print >(inside ? body : head) }
            /^\r?$/ { inside = 1 }'
}

judge() { # -> o_why
    o_code=$(awk '/^ *HTTP\// { code = $2 } END { print code }' "$o_got/head")
    case " $o_http_status " in
        *" ${o_code:-none} "*) ;;
        *)
            o_why="$o_http answers $o_code, not $o_http_status"
            if [ -z "$o_code" ]; then
                o_said=$(cat "$o_got/said" "$o_got/head" | tail -n 1)
                o_why="$o_http does not answer${o_said:+: $o_said}"
            fi
            return
            ;;
    esac
    o_lacks=$(lacking)
    if [ -n "$o_lacks" ]; then
        o_why="$o_http does not answer with the header \"$o_lacks\""
    elif ! grep -qF -e "$o_http_body" "$o_got/body" && [ -n "$o_http_body" ]; then
        o_why="$o_http does not answer with \"$o_http_body\""
    fi
}

lacking() { # the first of the wanted headers that the last of the answers does not have
    wanted=$o_http_header awk '
        /^ *HTTP\// { split("", has) }
        {
            sub(/\r$/, ""); sub(/^ */, "")
            at = index($0, ":")
            if (at) has[tolower(substr($0, 1, at - 1))] = has[tolower(substr($0, 1, at - 1))] "\n" substr($0, at + 1)
        }
        END {
            for (n = split(ENVIRON["wanted"], each, "\n"); i++ < n;) {
                at = index(each[i], ": ")
                if (!index(has[tolower(substr(each[i], 1, at - 1))], substr(each[i], at + 2))) { print each[i]; exit }
            }
        }' "$o_got/head"
}

rest() { # HUNDREDTHS
    sleep "$(($1 / 100)).$(printf %02d $(($1 % 100)))" 2>/dev/null || sleep $((($1 + 99) / 100))
}

o_got=
o_until=
o_nobody="none of perl, python3, bash, socat and nc is there"
