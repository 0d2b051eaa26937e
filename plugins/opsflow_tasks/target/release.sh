# Releases of an application: releases/ID, shared/, and the link to the release that is live. Needs tar and gzip.
# A release's marker holds on one line: SHA-256, state (good or bad), what the link pointed to before.

look() {
    say root "$o_root"
    [ -e "$o_root" ] || say fresh yes
    if [ -L "$o_at" ]; then
        say current "$(readlink "$o_at")"
    elif [ -e "$o_at" ]; then
        die "$o_at is not a symbolic link"
    fi
    if [ ! -e "$o_dir" ]; then
        say staged no
    elif read_marker "$o_dir"; then
        say staged "$o_state"
        say sha256 "$o_sum"
        say previous "$o_previous"
    else
        die "$o_dir was not made by opsflow"
    fi
    for o_name in $o_shared; do
        case $o_name in */) continue ;; esac
        [ -e "$o_root/shared/$o_name" ] || die "$o_root/shared/$o_name has to be put there first"
    done
}

read_marker() { # DIRECTORY -> o_sum, o_state, o_previous
    [ -f "$1/.opsflow-release" ] && read -r o_sum o_state o_previous <"$1/.opsflow-release"
}

write_marker() { # DIRECTORY SUM STATE PREVIOUS
    (umask 077 && printf '%s %s %s\n' "$2" "$3" "$4" >"$1/.opsflow-release.new") &&
        mv -f -- "$1/.opsflow-release.new" "$1/.opsflow-release" || die "cannot write in $1"
}

prepare() {
    (umask 022 && mkdir -p -- "$o_root/releases" "$o_root/shared") || die "cannot make directories in $o_root"
    rm -rf -- "$o_tmp" "$o_archive"
}

stage() { # the archive is there; the release appears whole or not at all
    if read_marker "$o_dir" && [ "$o_state $o_sum" = "good $o_sha256" ]; then return; fi
    umask 022
    rm -rf -- "$o_tmp" && mkdir -- "$o_tmp" || die "cannot make $o_tmp"
    o_said=$(tar -x"$o_gzip"pof "$o_archive" -C "$o_tmp" 2>&1) || die "cannot unpack: $o_said"
    chmod u+rwx "$o_tmp"
    find "$o_tmp" -type f \( -perm -4000 -o -perm -2000 \) -exec chmod ug-s {} +
    link_shared
    write_marker "$o_tmp" "$o_sha256" good ""
    flush
    [ ! -e "$o_dir" ] || trash "$o_dir" # a bad one
    mv -- "$o_tmp" "$o_dir" || die "cannot rename $o_tmp"
    rm -f -- "$o_archive"
}

link_shared() {
    for o_name in $o_shared; do
        case $o_name in */) mkdir -p -- "$o_root/shared/$o_name" || die "cannot make shared/$o_name" ;; esac
        o_name=${o_name%/} o_up=../.. o_rest=${o_name%/}
        while [ "$o_rest" != "${o_rest#*/}" ]; do
            o_rest=${o_rest#*/} o_up=$o_up/..
        done
        rm -rf -- "${o_tmp:?}/$o_name"
        mkdir -p -- "$(dirname -- "$o_tmp/$o_name")" && ln -s "$o_up/shared/$o_name" "$o_tmp/$o_name" ||
            die "cannot link shared/$o_name"
    done
}

switch() {
    o_current=$(readlink "$o_at")
    [ "$o_current" != "releases/$o_release" ] || return 0
    [ "$o_current" = "$o_before" ] || die "$o_at points to ${o_current:-nothing} now, no longer to ${o_before:-nothing}"
    read_marker "$o_dir" || die "$o_dir is not there"
    write_marker "$o_dir" "$o_sum" good "$o_current"
    point "releases/$o_release"
    flush
    prune
}

point() { # TARGET: at every moment the link is there, the old one or the new one
    o_new=$o_root/.$o_link.new
    rm -f -- "$o_new"
    ln -s "$1" "$o_new" || die "cannot make a link in $o_root"
    # GNU and busybox, then BSD; the last resort is not atomic.
    mv -fT "$o_new" "$o_at" 2>/dev/null || mv -fh "$o_new" "$o_at" 2>/dev/null || ln -sfn "$1" "$o_at"
    rm -f -- "$o_new"
    [ "$(readlink "$o_at")" = "$1" ] || die "$o_at cannot be pointed to $1"
}

prune() { # what is live and what was before it stay, and of the other good ones the newest; newest: last made live
    o_count=1
    if [ "${o_current#releases/}" != "$o_current" ] && read_marker "$o_root/$o_current"; then o_count=2; fi
    for o_marker in $(cd "$o_root/releases" && ls -t -- */.opsflow-release 2>/dev/null); do
        o_id=${o_marker%/*}
        case releases/$o_id in "releases/$o_release" | "$o_current") continue ;; esac
        read_marker "$o_root/releases/$o_id"
        [ "$o_state" != good ] || o_count=$((o_count + 1))
        if [ "$o_state" != good ] || [ "$o_count" -gt "$o_keep" ]; then trash "$o_root/releases/$o_id"; fi
    done
    rm -rf -- "$o_root"/releases/.trash.*
}

trash() { # DIRECTORY: a half removed release must not look like one
    rm -rf -- "$o_root/releases/.trash.${1##*/}"
    mv -- "$1" "$o_root/releases/.trash.${1##*/}" && rm -rf -- "$o_root/releases/.trash.${1##*/}"
}

flush() { sync -f "$o_root" 2>/dev/null || sync; }

undo() { # only if the link is what this attempt made it
    if [ -n "$o_switched" ] && [ "$(readlink "$o_at")" = "releases/$o_release" ]; then
        if [ -z "$o_before" ]; then
            rm -f -- "$o_at" || die "cannot remove $o_at"
        else
            case $o_before in /*) o_old=$o_before ;; *) o_old=$o_root/$o_before ;; esac
            [ -e "$o_old" ] || die "$o_at pointed to $o_before, which is gone"
            point "$o_before"
        fi
    fi
    if [ -n "$o_staged" ] && [ "$(readlink "$o_at")" != "releases/$o_release" ] && read_marker "$o_dir"; then
        write_marker "$o_dir" "$o_sum" bad "$o_previous"
    fi
    rm -rf -- "$o_tmp" "$o_archive" "$o_root/.$o_link.new"
    [ -z "$o_fresh" ] || rmdir -- "$o_root/releases" "$o_root/shared" "$o_root" 2>/dev/null
}

absolute "$o_root"
o_root=$o_path
o_at=$o_root/$o_link
o_dir=$o_root/releases/$o_release
o_tmp=$o_root/releases/.$o_release.tmp
o_archive=$o_root/releases/.$o_release.archive
