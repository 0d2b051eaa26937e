# Releases of an application: releases/ID, shared/, and the link to the release that is live. Needs tar and gzip.
# A release's marker holds on one line: SHA-256, state, what the link pointed to before. The state is `good`; `raw` until
# `after_stage` has ended well; `switching` while the link is pointed to it, until all that follows is done; `bad` once it
# was rolled back.

look() {
    say root "$o_root"
    [ -e "$o_root" ] || say fresh yes
    if [ -L "$o_at" ]; then
        say current "$(readlink "$o_at")"
        [ ! -f "$o_at/.opsflow-release.files" ] || say manifest yes
    elif [ -e "$o_at" ]; then
        die "$o_at is not a symbolic link: what is there has to be moved away first"
    fi
    if [ ! -e "$o_dir" ]; then
        say staged no
    elif read_marker "$o_dir"; then
        say staged "$o_state"
        say switching "$o_switching"
        say sha256 "$o_sum"
        say previous "$o_previous"
    else
        die "$o_dir was not made by opsflow"
    fi
    o_up=$o_root
    while [ ! -e "$o_up" ]; do
        o_up=${o_up%/*} o_up=${o_up:-/}
    done
    say free "$(df -Pk "$o_up" 2>/dev/null | awk 'NR == 2 { print $4 }')"
    writable "$o_root"
    writable "$o_root/releases"
    for o_name in $o_shared; do
        case $o_name in */) continue ;; esac
        [ -e "$o_root/shared/$o_name" ] || die "$o_root/shared/$o_name has to be put there first"
    done
}

read_marker() { # DIRECTORY -> o_sum, o_state, o_previous; o_switching, if it is a good one of which that is not over
    o_switching=
    [ -f "$1/.opsflow-release" ] && read -r o_sum o_state o_previous <"$1/.opsflow-release" || return
    [ "$o_state" != switching ] || o_state=good o_switching=yes
}

write_marker() { # DIRECTORY SUM STATE PREVIOUS
    (umask 077 && printf '%s %s %s\n' "$2" "$3" "$4" >"$1/.opsflow-release.new") &&
        mv -f -- "$1/.opsflow-release.new" "$1/.opsflow-release" || die "cannot write in $1"
}

prepare() { # standard input: nothing, or the manifest of what is to come, packed
    (umask 022 && mkdir -p -- "$o_root/releases" "$o_root/shared") || die "cannot make directories in $o_root"
    rm -rf -- "$o_tmp" "$o_tmp".* "$o_archive"
    mkdir -m 755 -- "$o_tmp" || die "cannot make $o_tmp"
    [ -z "$o_reuse" ] || reuse
}

stage() { # the archive is there; the release appears whole or not at all
    if read_marker "$o_dir" && [ "$o_state $o_sum" = "good $o_sha256" ]; then return; fi
    umask 022
    [ -d "$o_tmp" ] || die "$o_tmp is gone"
    o_said=$(tar -x"$o_gzip"pof "$o_archive" -C "$o_tmp" 2>&1) || die "cannot unpack: $o_said"
    chmod u+rwx "$o_tmp"
    find "$o_tmp" -type f \( -perm -4000 -o -perm -2000 \) -exec chmod ug-s {} +
    write_revision
    link_shared
    o_first=good
    [ -z "$o_after_stage" ] || o_first=raw
    write_marker "$o_tmp" "$o_sha256" $o_first ""
    flush
    rm -f -- "$o_archive" # once the release is there, nobody looks for what is left of its coming
    [ ! -e "$o_dir" ] || trash "$o_dir" # a bad one
    mv -- "$o_tmp" "$o_dir" || die "cannot rename $o_tmp"
    if [ -n "$o_after_stage" ]; then
        hook after_stage "$o_after_stage" "$o_dir"
        write_marker "$o_dir" "$o_sha256" good ""
    fi
}

write_revision() { # what an artifact says of itself stays, unless the playbook says something else
    [ -n "$o_revision" ] || [ ! -e "$o_tmp/REVISION" ] || return 0
    rm -rf -- "$o_tmp/REVISION" && printf '%s\n' "${o_revision:-$o_sha256}" >"$o_tmp/REVISION" ||
        die "cannot write $o_tmp/REVISION"
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

switch() { # or what an earlier one has left to do
    read_marker "$o_dir" && [ "$o_state" = good ] || die "$o_dir is not there, or no good release"
    o_current=$(readlink "$o_at")
    if [ "$o_current" = "releases/$o_release" ]; then
        [ -n "$o_switching" ] || return 0
        o_current=$o_previous
    else
        [ "$o_current" = "$o_before" ] || die "$o_at points to ${o_current:-nothing} now, no longer to ${o_before:-nothing}"
        hook before_switch "$o_before_switch" "$o_dir"
        write_marker "$o_dir" "$o_sum" switching "$o_current"
        point "releases/$o_release"
        flush
    fi
    o_content=$o_sum
    hook after_switch "$o_after_switch" "$o_dir"
    prune
    write_marker "$o_dir" "$o_content" good "$o_current"
}

point() { # TARGET
    rm -f -- "$o_root/.$o_link.new"
    ln -s "$1" "$o_root/.$o_link.new" || die "cannot make a link in $o_root"
    swap_in "$o_root/.$o_link.new" "$o_root" "$o_link" && [ "$(readlink "$o_at")" = "$1" ] ||
        die "$o_at cannot be pointed to $1"
}

hook() { # NAME COMMAND DIRECTORY: in that release
    [ -n "$2" ] || return 0
    o_cwd=$3
    export APP="$o_root" RELEASE="${3##*/}"
    must "$1" "$o_hook_time" "$2"
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
            [ -e "$o_old" ] || die "$o_at pointed to $o_before, which is gone"
            point "$o_before"
        fi
    fi
    if [ -n "$o_staged" ] && [ "$(readlink "$o_at")" != "releases/$o_release" ] && read_marker "$o_dir"; then
        write_marker "$o_dir" "$o_sum" bad "$o_previous"
    fi
    rm -rf -- "$o_tmp" "$o_tmp".* "$o_archive" "$o_root/.$o_link.new" "$o_root/.$o_link.new.swap"
    [ -z "$o_fresh" ] || rmdir -- "$o_root/releases" "$o_root/shared" "$o_root" 2>/dev/null
    # Also when the link was put back by an undo before this one, which may have been cut short; not if it never moved.
    if [ -n "$o_switched" ] && [ -n "$o_before" ] && [ "$(readlink "$o_at")" = "$o_before" ]; then
        if read_marker "$o_dir" && [ "$o_previous" = "$o_before" ]; then
            [ -z "$o_after_switch" ] || say note "$o_at points to $o_before again"
            hook after_switch "$o_after_switch" "$o_old"
        fi
    fi
}

absolute "$o_root"
o_root=$o_path
o_at=$o_root/$o_link
o_dir=$o_root/releases/$o_release
o_tmp=$o_root/releases/.$o_release.tmp
o_archive=$o_root/releases/.$o_release.archive
case $o_before in /*) o_old=$o_before ;; *) o_old=$o_root/$o_before ;; esac
