# Expects: database, and the functions of the connection: sql (the client), dump.
if command -v mariadb >/dev/null 2>&1; then sql=mariadb; else sql=mysql; fi
if command -v mariadb-dump >/dev/null 2>&1; then dumper=mariadb-dump; else dumper=mysqldump; fi

ready() {
    command -v "$sql" >/dev/null 2>&1 || fail "neither mariadb nor mysql is installed"
    command -v "$dumper" >/dev/null 2>&1 || fail "neither mariadb-dump nor mysqldump is installed"
}

# MariaDB's client would say the statement first, and that may be long, before why it failed.
case $("$sql" --help 2>/dev/null) in *--print-query-on-error*) terse=--skip-print-query-on-error ;; *) terse= ;; esac

client() {
    connected "$sql" ${terse:+"$terse"} --default-character-set=utf8mb4 --connect-timeout=15 --batch --skip-column-names --raw \
        --unbuffered --database="$database" "$@"
}

query() { client --execute="$1"; }

# Whether the server refused a statement, and is still there. Numbers from 2000 are the client's own, and two come when
# the server goes: nobody knows what it did.
refused() {
    case $(sed -n 's/^ERROR \([0-9]*\).*/\1/p' "$work/err" | head -n 1) in
        '' | 2??? | 1053 | 1927) return 1 ;;
    esac
}

about() {
    facts=$(query "SELECT CONCAT('size ', COALESCE(SUM(DATA_LENGTH), 0), CHAR(10), 'loose ', COALESCE(GROUP_CONCAT(
            IF(ENGINE IN (SELECT ENGINE FROM information_schema.ENGINES WHERE TRANSACTIONS = 'YES'), NULL,
                CONCAT(TABLE_NAME, ' (', ENGINE, ')')) ORDER BY TABLE_NAME SEPARATOR ', '), ''))
        FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE'") || exit 1
    printf 'database %s\n%s\n' "$database" "$facts"
}

tool() { "$dumper" --version | head -n 1 | tr -cd '[:alnum:] .,():/_-'; }

server() { query "SELECT VERSION()" | tr -cd '[:alnum:] .,():/_-'; }

# How many rows each table has, as members of a JSON object, a line each.
counts() {
    query "SELECT CONCAT('SELECT CONCAT(', QUOTE(CONCAT(JSON_QUOTE(TABLE_NAME), ': ')), ', COUNT(*)) FROM \`',
            REPLACE(TABLE_NAME, '\`', '\`\`'), '\`;')
        FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_TYPE = 'BASE TABLE'
        ORDER BY TABLE_NAME" >"$work/counting" && client <"$work/counting"
}

# Where in the log of the server the dump is, is known from the dump itself.
position() { echo null; }

prepare() { :; }

# The option by which the dump says where in the log of the server it is. MariaDB knows that of its transaction; others
# would have to lock all of the server for it.
positioned() {
    [ -z "$locking" ] && [ -n "$(query "SHOW STATUS LIKE 'binlog_snapshot_file'" 2>/dev/null | cut -f 2)" ] || return 0
    echo --master-data=2
}

produce() {
    # Oracle's dump would set the target's GTIDs, MariaDB's does not know the option.
    case $("$dumper" --version) in *MariaDB*) gtid= ;; *) gtid=--set-gtid-purged=OFF ;; esac
    where=$(positioned)
    consistent=--single-transaction
    [ -z "$locking" ] || consistent=--lock-tables
    connected "$dumper" --default-character-set=utf8mb4 "$consistent" --quick --routines --triggers --events \
        --hex-blob --no-tablespaces --comments --dump-date ${gtid:+"$gtid"} ${where:+"$where"} -- "$database"
}

entire() {
    { unpack <"$work/data"; echo $? >"$work/unpack.status"; } | tail -n 3 | grep -q '^-- Dump completed' || return 1
    ended unpack "reading the backup again"
    found=$(unpack <"$work/data" 2>/dev/null | head -n 100 | sed -n \
        "s/^-- CHANGE .*_LOG_FILE='\([^']*\)', [A-Z]*_LOG_POS=\([0-9]*\);.*/{\"file\": \"\1\", \"position\": \2}/p")
    [ -z "$found" ] || printf '%s\n' "$found" >"$work/position"
}

# A line of data begins with INSERT: comments are never data.
contents() {
    sections '/^-- .* for (table|view|sequence|database) / { section(substr($0, 4)); next }
        /^(--( .*)?)?$/ { next }'
}

erect() { query "CREATE DATABASE \`$scratch\`"; }

# To drop even one that is not there takes the right to.
dismantle() {
    there=$(query "SELECT 1 FROM information_schema.SCHEMATA WHERE SCHEMA_NAME = '$scratch'") || return 1
    [ -z "$there" ] || query "DROP DATABASE \`$scratch\`"
}

inside() { (database=$scratch && "$@"); }

# Events would go off in the database that a backup is tried in.
rehearsed() { sed '/^-- Dumping events for database/,/^-- Dumping routines for database/d'; }

# The statements that empty the database, but for the mark that says it is being restored.
emptying() {
    echo "SET FOREIGN_KEY_CHECKS = 0;"
    query "SELECT CONCAT('DROP ', IF(TABLE_TYPE LIKE '%VIEW', 'VIEW', IF(TABLE_TYPE = 'SEQUENCE', 'SEQUENCE', 'TABLE')),
        ' IF EXISTS \`', REPLACE(TABLE_NAME, '\`', '\`\`'), '\`;')
        FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME <> '$mark'" || return 1
    query "SELECT CONCAT('DROP ', ROUTINE_TYPE, ' IF EXISTS \`', REPLACE(ROUTINE_NAME, '\`', '\`\`'), '\`;')
        FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE()" || return 1
    query "SELECT CONCAT('DROP EVENT IF EXISTS \`', REPLACE(EVENT_NAME, '\`', '\`\`'), '\`;')
        FROM information_schema.EVENTS WHERE EVENT_SCHEMA = DATABASE()"
}

restore() {
    { unpack <"$backup"; echo $? >"$work/unpack.status"; } | tail -n 3 | grep -q '^-- Dump completed' ||
        fail "$backup is not a complete dump"
    ended unpack "unpacking $backup"
    emptying >"$work/emptying" || exit 1
    # The mark goes last, and only if all of the dump was sent: without it nobody would know of half a restore.
    {
        printf '%s\n' "$marking"
        cat -- "$work/emptying"
        unpack <"$backup" && printf '%s\n' "$unmarking" && echo 0 >"$work/feed.status"
    } | client || exit 1
    ended feed "sending the dump"
}
