#!/bin/sh
# Makes what the demo or the tests need: the Debian packages that are missing, and the virtual environment .venv.
# Works as root, or as a user with sudo; asks for neither when no package is missing.
# pip and apt follow their own configuration (proxy, mirror, index).
# Usage: tools/bootstrap.sh demo|test
set -eu
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin" # Debian keeps sshd and mariadbd there, which is not on every user's PATH
for directory in /usr/lib/postgresql/*/bin; do PATH="$PATH:$directory"; done # and the server of PostgreSQL there

needed='sshd:openssh-server ssh-keygen:openssh-client sqlite3:sqlite3 ps:procps curl:curl'
case ${1-} in
demo) ;;
test) # what tasks and commands have to get along with, database servers, a balancer, and machines (containers) to be targets
    needed="$needed wget:wget bzip2:bzip2 xz:xz-utils busybox:busybox mksh:mksh ksh93:ksh93u+m
        sudo:sudo tcsh:tcsh fish:fish perl:perl shellcheck:shellcheck
        systemd-nspawn:systemd-container debootstrap:debootstrap ip:iproute2 iptables:iptables mkfs.ext4:e2fsprogs setfacl:acl setfattr:attr
        mariadbd:mariadb-server mariadb-install-db:mariadb-server mariadb:mariadb-client mariadb-dump:mariadb-client
        supervisord:supervisor haproxy:haproxy
        postgres:postgresql initdb:postgresql psql:postgresql-client pg_dump:postgresql-client openssl:openssl zstd:zstd"
    ;;
*) sed -n '2,6s/^# //p' "$0" >&2; exit 2 ;;
esac
kind=$1

find_python() { # the first Python that is new enough and can make an environment with pip in it
    for python in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do
        if "$python" -c 'import sys, ensurepip, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            return
        fi
    done
    return 1
}

missing_packages() {
    for pair in $needed; do
        command -v "${pair%%:*}" >/dev/null || echo "${pair#*:}"
    done | sort -u
    find_python || echo python3 python3-venv
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        echo "Debian packages are missing and there is no sudo. As root: apt-get install $packages" >&2
        exit 1
    fi
}

install_packages() {
    echo "Installing Debian packages (their services are not started): $*"
    as_root sh -eu -s "$@" <<'ROOT'
export DEBIAN_FRONTEND=noninteractive
# Debian's way to say that an installation starts no service; left alone where the machine has its own say.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
{
    apt-get -o DPkg::Lock::Timeout=300 update
    apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends "$@"
} </dev/null >/dev/null
ROOT
}

packages=$(missing_packages | tr '\n' ' ')
# shellcheck disable=SC2086 # a list of names
[ -z "$packages" ] || install_packages $packages
find_python || { echo 'opsflow needs Python 3.11 or newer, with its venv module.' >&2 && exit 1; }

# The environment is made anew when the interpreter, the place or the dependencies are others than last time.
state=$("$python" -c 'import sys; print(sys.version, sys.base_prefix)' && pwd && cksum pyproject.toml)
for made in test "$kind"; do
    if [ "$(cat ".venv/made-for-$made" 2>/dev/null)" = "$state" ] && .venv/bin/python -c 'import opsflow' 2>/dev/null; then
        exit 0
    fi
done
echo 'Installing opsflow and its libraries into .venv'
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CACHE_DIR="${PIP_CACHE_DIR:-$PWD/.cache/pip}"
"$python" -m venv --clear .venv
case $kind in
demo) .venv/bin/python -m pip install -qq --editable . ;;
test)
    .venv/bin/python -m pip install -qq --upgrade 'pip>=25.1' # the first that knows dependency groups
    .venv/bin/python -m pip install -qq --editable . --group dev
    ;;
esac
printf '%s\n' "$state" >".venv/made-for-$kind"
