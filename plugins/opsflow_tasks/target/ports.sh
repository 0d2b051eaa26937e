# The target's own ports and who listens, from the kernel's tables.
# Columns: 2 local address, 4 state (0A listening, 01 connected), 10 inode.

sockets() { # STATE: inodes of the port's sockets in that state, one a line
    cat /proc/net/tcp /proc/net/tcp6 2>/dev/null |
        awk -v port="$o_port_hex" -v addresses=" $o_addresses " -v state="$1" '
            $4 "" == state "" {
                split($2, at, ":") # as text: 00E1 and 00E5 are the same number
                if (at[2] "" == port "" && (addresses == "  " || index(addresses, " " at[1] " "))) print $10
            }'
}

listening() { # -> o_inodes
    o_inodes=$(sockets 0A)
    [ -n "$o_inodes" ]
}

holders() { # INODE: processes that have this socket open, as far as this user may see, one a line
    ls -l /proc/[0-9]*/fd 2>/dev/null | awk -v socket="socket:[$1]" '
        /^\/proc\/[0-9]+\/fd:$/ { split($0, at, "/"); pid = at[3] }
        $NF == socket && pid != said { print pid; said = pid }'
}

holder() { # -> o_holder: who listens
    o_holder=$(holders "${o_inodes%%[!0-9]*}" | tail -n 1) # the last: process 1 may only lend the socket
    if [ -n "$o_holder" ]; then named "$o_holder"; else o_holder="a process that this user may not see"; fi
}

named() { # PID -> o_holder, for people
    o_holder="pid $1 ($(cat "/proc/$1/comm" 2>/dev/null))"
}

[ -z "$o_port" ] || [ -r /proc/net/tcp ] || die "which ports are open cannot be seen: no /proc/net/tcp"
