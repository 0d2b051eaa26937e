# Expects: database, lock_ms.
database=$(absolute "$database")

ready() {
    command -v sqlite3 >/dev/null 2>&1 || fail "sqlite3 is not installed"
    [ -f "$database" ] || fail "there is no database $database"
    [ -r "$database" ] || fail "the database $database may not be read"
}

client() { sqlite3 -batch -bail -init /dev/null -cmd ".timeout $lock_ms" "$database" "$@"; }

# Opened as usual but not written: a read-only connection would leave the files of the write-ahead log behind.
# A log that somebody left is not worked into the database either; only its index (-shm) may appear beside it.
query() {
    if [ -s "$database-wal" ]; then
        sqlite3 -batch -bail -init /dev/null -cmd ".timeout $lock_ms" -cmd '.output /dev/null' \
            -cmd '.dbconfig no_ckpt_on_close on' -cmd .output "$database" "PRAGMA query_only=1; $1"
    else
        client "PRAGMA query_only=1; $1"
    fi
}

whole() { [ "$(sqlite3 -batch -init /dev/null "$1" 'PRAGMA integrity_check')" = ok ]; }

about() {
    size=$(wc -c <"$database") || exit 1
    [ ! -f "$database-wal" ] || size=$((size + $(wc -c <"$database-wal")))
    query "SELECT 'integer' FROM sqlite_master LIMIT 1" >/dev/null || exit 1
    printf 'database %s\nsize %d\nloose \n' "$database" "$size"
}

tool() { printf 'sqlite3 %s' "$(sqlite3 -version | cut -d ' ' -f 1)"; }

server() { tool; }

# How many rows each table of the copy has, as members of a JSON object, a line each.
counts() {
    # shellcheck disable=SC2016 # no variables
    sqlite3 -batch -bail -init /dev/null "$work/copy" "SELECT 'SELECT ' || quote(json_quote(name) || ': ') || ' || COUNT(*)
            FROM \"' || replace(name, '\"', '\"\"') || '\";'
        FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite#_%' ESCAPE '#' AND sql NOT LIKE 'CREATE VIRTUAL%'
        ORDER BY name" >"$work/counting" && sqlite3 -batch -bail -init /dev/null "$work/copy" <"$work/counting"
}

# What the file $1 holds: the hash of each definition and of each table's rows, as members of a JSON object, a line each.
contents() {
    reading="sqlite3 -batch -bail -init /dev/null"
    # shellcheck disable=SC2016 # no variables
    $reading -cmd ".timeout $lock_ms" "$1" "SELECT 'BEGIN;' UNION ALL SELECT * FROM (SELECT 'SELECT '
            || quote(json_quote('data of ' || name) || ': \"') || ' || lower(hex(sha3_query('
            || quote('SELECT * FROM \"' || replace(name, '\"', '\"\"') || '\" NOT INDEXED') || '))) || ''\"'';'
        FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite#_stat%' ESCAPE '#'
            AND sql NOT LIKE 'CREATE VIRTUAL%' ORDER BY name)" >"$work/hashing" || return 1
    cat >>"$work/hashing" <<'END'
SELECT '"settings": "' || lower(hex(sha3(user_version || ' ' || application_id))) || '"'
FROM pragma_user_version, pragma_application_id;
SELECT json_quote('definition of ' || tbl_name) || ': "' || lower(hex(sha3(group_concat(
    type || ' ' || name || ' ' || COALESCE(sql, ''), ';')))) || '"'
FROM (SELECT * FROM sqlite_master WHERE name NOT LIKE 'sqlite#_stat%' ESCAPE '#' ORDER BY type, name) GROUP BY tbl_name;
COMMIT;
END
    $reading -cmd ".timeout $lock_ms" "$1" <"$work/hashing"
}

copied() { contents "$work/copy"; }

present() { contents "$database"; }

position() { echo null; }

# The backup was compared with a whole copy already.
make_scratch() { :; }

rehearse() { :; }

dismantle() { :; }

prepare() {
    (cd -- "$work" && client ".backup main copy" && whole copy) || fail "the copy of $database is not whole"
}

produce() { cat -- "$work/copy"; }

entire() {
    { unpack <"$work/data"; echo $? >"$work/unpack.status"; } | cmp -s - "$work/copy" || return 1
    ended unpack "reading the backup again"
}

restore() {
    (cd -- "$work" && unpack <"$backup" >copy && whole copy) || fail "$backup does not hold a whole database"
    (cd -- "$work" && client ".restore main copy") || exit 1
}
