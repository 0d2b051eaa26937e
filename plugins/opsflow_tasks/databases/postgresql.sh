# Expects: database, lock_ms, and the function of the connection.
# By the environment: as an argument some names would be taken for whole connection strings.
export PGDATABASE="$database" PGCLIENTENCODING=UTF8 PGCONNECT_TIMEOUT=15

ready() {
    command -v psql >/dev/null 2>&1 || fail "psql is not installed"
    command -v pg_dump >/dev/null 2>&1 || fail "pg_dump is not installed"
}

client() { connected psql --no-psqlrc --no-password --quiet --no-align --tuples-only --set=ON_ERROR_STOP=1 "$@"; }

query() { client "--command=SET client_min_messages = warning" "--command=$1"; }

# Whether the server refused a statement, and is still there.
refused() { [ "$1" -eq 3 ]; }

about() {
    facts=$(query "SELECT concat('size ', pg_database_size(current_database()), chr(10), 'loose ', chr(10),
        'server ', current_setting('server_version_num')::integer / 10000)") || exit 1
    version=$(pg_dump --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/')
    [ "${version:-0}" -ge "${facts##*server }" ] ||
        fail "pg_dump is of version $version, older than the server's ${facts##*server }: it would refuse"
    printf 'database %s\n%s\n' "$database" "$facts"
}

tool() { pg_dump --version | head -n 1 | tr -cd '[:alnum:] .,():/_-'; }

server() { query "SHOW server_version" | tr -cd '[:alnum:] .,():/_-'; }

# How many rows each table has, as members of a JSON object, a line each.
counts() {
    printf '%s\n' "SELECT format('SELECT %L || count(*) FROM ONLY %I.%I', to_json(nspname || '.' || relname)::text || ': ',
            nspname, relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE relkind = 'r' AND nspname NOT IN ('pg_catalog', 'information_schema') AND nspname NOT LIKE 'pg\\_t%'
        ORDER BY nspname, relname \\gexec" | client
}

# Where in its log the server was as the dump began.
position() {
    query "SELECT '\"' || CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END || '\"'"
}

prepare() { :; }

patient=--lock-wait-timeout=$lock_ms

produce() { connected pg_dump --no-password --encoding=UTF8 "$@"; }

at_its_end() { tail -n 8 | grep -q '^-- PostgreSQL database dump complete'; }

entire() {
    { unpack <"$work/data"; echo $? >"$work/unpack.status"; } | at_its_end || return 1
    ended unpack "reading the backup again"
}

# Lines of data may look like anything.
contents() {
    sections 'copying { if ($0 == "\\.") copying = 0; print | hash; next }
        /^COPY .* FROM stdin;$/ { copying = 1 }
        /^\\(un)?restrict / { next }
        /^-- (Data for )?Name: .*; Type: .*; Schema: / {
            sub(/^-- (Data for )?Name: /, "")
            sub(/; Owner: .*/, "")
            split($0, part, /; (Type|Schema): /)
            section(tolower(part[2]) " " part[3] "." part[1])
            next
        }'
}

erect() { query "CREATE DATABASE \"$scratch\" TEMPLATE template0"; }

dismantle() { query "DROP DATABASE IF EXISTS \"$scratch\""; }

inside() { (PGDATABASE=$scratch && "$@"); }

rehearsed() { cat; }

# What empties the database, but for extensions: its schemas, and what is in the one that is always there. What is inside
# something else, as the sequence of an identity column, cannot be dropped, and goes with it.
emptying="SELECT format('DROP SCHEMA %I CASCADE', nspname) FROM pg_namespace n
        WHERE nspname NOT LIKE 'pg\\_%' AND nspname NOT IN ('information_schema', 'public')
            AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_namespace'::regclass AND objid = n.oid AND deptype = 'e')
    UNION ALL SELECT format('DROP %s IF EXISTS %s CASCADE', o.type, o.identity)
        FROM pg_depend d, pg_identify_object(d.classid, d.objid, 0) o
        WHERE refclassid = 'pg_namespace'::regclass AND refobjid = to_regnamespace('public') AND deptype = 'n'
            AND o.type IN ('table', 'foreign table', 'view', 'materialized view', 'sequence', 'function', 'procedure',
                'aggregate', 'type', 'collation', 'conversion', 'operator', 'operator class', 'operator family',
                'text search parser', 'text search dictionary', 'text search template', 'text search configuration')
            AND NOT EXISTS (SELECT FROM pg_depend e
                WHERE e.classid = d.classid AND e.objid = d.objid AND e.deptype IN ('e', 'i'))"

restore() {
    { unpack <"$backup"; echo $? >"$work/unpack.status"; } | at_its_end || fail "$backup is not a complete dump"
    ended unpack "unpacking $backup"
    # One transaction, which ends only if all of the dump was sent.
    {
        printf '%s\n' 'BEGIN;' 'SET LOCAL client_min_messages = warning;' "SET LOCAL lock_timeout = $lock_ms;" \
            "SELECT pg_advisory_xact_lock($lock_key);" "$emptying \\gexec"
        unpack <"$backup" && printf 'COMMIT;\n' && echo 0 >"$work/feed.status"
    } | client >/dev/null || exit 1
    ended feed "sending the dump"
}
