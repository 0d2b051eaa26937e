# A conversation with a server, by what the target has for it.

can_talk() { # HOST PORT -> o_with; PORT may be empty: HOST is a socket file
    for o_with in perl python3 bash socat nc; do
        [ "$o_with" != bash ] || [ -n "$2" ] || continue
        ! command -v "$o_with" >/dev/null || return 0
    done
    o_with=
    return 1
}

talk() { # HOST PORT none|first|all SECONDS: connect, send stdin, print so much of the answer; it fails if nobody is there
    case $o_with in
        perl) perl -e "$o_perl_talk" "$@" ;;
        python3) python3 -c "$o_python_talk" "$@" ;;
        bash) $o_limit bash -c "$o_bash_talk" "$@" 2>&1 ;;
        socat)
            if [ "$3" = none ]; then set -- "$1" "$2" "$3" 0; fi # how long it waits after its own end
            if [ -n "$2" ]; then socat -t "$4" - "TCP:$(bracketed "$1"):$2"; else socat -t "$4" - "UNIX-CONNECT:$1"; fi
            ;;
        nc)
            case $3:$2 in
                none:*) connects "$1" "$2" "$4" ;;
                *:) nc -w "$4" -U "$1" ;;
                *) nc -w "$4" "$1" "$2" ;;
            esac
            ;;
    esac
}

connects() { # HOST PORT SECONDS, with an nc that may have no -z: one that has to be ended was connected
    timeout $(($3 + 1)) nc -w "$3" "$1" "$2"
    case $? in 0 | 124 | 143) ;; *) return 1 ;; esac
}

bracketed() { case $1 in *:*) echo "[$1]" ;; *) echo "$1" ;; esac; }

o_perl_talk='
use Socket qw(:DEFAULT getaddrinfo); my ($host, $port, $how, $seconds) = @ARGV; $| = 1;
$SIG{ALRM} = sub { exit($how eq "first" ? 0 : 4) }; alarm $seconds;
sub fail { print STDERR "$_[0]\n"; exit 1 }
if ($port eq "") { socket(S, PF_UNIX, SOCK_STREAM, 0) && connect(S, pack_sockaddr_un($host)) or fail($!) }
else {
    my ($error, @all) = getaddrinfo($host, $port, { socktype => SOCK_STREAM }); fail($error) if $error;
    my $done; for (@all) { if (socket(S, $_->{family}, SOCK_STREAM, 0) && connect(S, $_->{addr})) { $done = 1; last } }
    fail($!) unless $done;
}
exit 0 if $how eq "none";
{ local $/; my $ask = <STDIN>; syswrite(S, $ask) if defined $ask && length $ask }
while (sysread(S, my $part, 65536)) { print $part; last if $how eq "first" }
'
o_python_talk='
import socket, sys
host, port, how, seconds = sys.argv[1:]
try:
    if port: s = socket.create_connection((host, int(port)), timeout=float(seconds))
    else:
        s = socket.socket(socket.AF_UNIX); s.settimeout(float(seconds)); s.connect(host)
except OSError as error:
    sys.exit(str(error.strerror or error))
if how == "none": sys.exit(0)
try:
    s.sendall(sys.stdin.buffer.read())
    while True:
        part = s.recv(65536)
        if not part: break
        sys.stdout.buffer.write(part)
        if how == "first": break
except socket.timeout:
    sys.exit(how != "first" and "it does not answer in time" or 0)
'
# shellcheck disable=SC2016 # bash expands it
o_bash_talk='
exec 3<>"/dev/tcp/$0/$1" || exit 1
[ "$2" != none ] || exit 0
cat >&3
if [ "$2" = all ]; then cat <&3; else IFS= read -r -t "$3" line <&3; printf "%s\n" "$line"; fi
'
