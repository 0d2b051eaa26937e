# One file, put in place whole; what was there is kept beside it. Needs ls, awk, id; getfacl, getfattr where they are there.
# The backup is a hard link where that is possible: putting it back puts back the very file, with all that belongs to it.

look() {
    say path "$o_dest"
    o_me=$(id -u) o_uid='' o_gid='' o_hindered=''
    [ -d "$o_dir" ] || die "there is no directory $o_dir"
    if [ -L "$o_dest" ]; then
        say kind link
        say target "$(readlink "$o_dest")"
    elif [ -d "$o_dest" ]; then
        die "$o_dest is a directory: end it with / to put a file into it"
    elif [ -f "$o_dest" ]; then
        properties "$o_dest"
        checksum "$o_dest"
        say kind file
        say mode "$o_mode"
        say owner "$o_uid:$o_gid"
        say size "$o_size"
        say sha256 "$o_sum"
        say_lost "$o_dest"
        [ "$o_me" = 0 ] || [ "$o_me" = "$o_uid" ] || hinder "it belongs to $(id -un "$o_uid" 2>/dev/null || echo "$o_uid")"
    elif [ -e "$o_dest" ]; then
        die "$o_dest is neither a file nor a symbolic link"
    else
        say kind none
    fi
    whose
    say wanted "$o_uid:$o_gid"
    [ -w "$o_dir" ] && [ -x "$o_dir" ] || hinder "$(id -un) may not write in $o_dir"
    [ "$o_me" = 0 ] || may_give
}

hinder() { # WHY it cannot be changed; the first reason counts
    [ -n "$o_hindered" ] || say hindrance "$1"
    o_hindered=yes
}

properties() { # FILE -> o_mode (octal), o_uid, o_gid, o_size; by `ls`, which is everywhere
    o_line=$(ls -ldn "$1" | awk 'NR == 1 {
        for (n = 0; n < 9; n++) {
            letter = substr($1, n + 2, 1)
            bit = n % 3 == 0 ? 4 : n % 3 == 1 ? 2 : 1 # no powers: not every awk has them
            if (letter ~ /[rwxst]/) digit[int(n / 3)] += bit
            if (letter ~ /[sStT]/) special += n == 2 ? 4 : n == 5 ? 2 : 1
        }
        printf "%d%d%d%d %s %s %s\n", special, digit[0], digit[1], digit[2], $3, $4, $5
    }')
    read -r o_mode o_uid o_gid o_size <<FOUND
$o_line
FOUND
}

whose() { # -> o_uid, o_gid: who is to have it; empty: whoever makes it
    o_user=${o_owner%%:*} o_group=
    case $o_owner in *:*) o_group=${o_owner#*:} ;; esac
    case $o_user in
        "") ;;
        *[!0-9]*) o_uid=$(id -u "$o_user" 2>/dev/null) || die "there is no user $o_user" ;;
        *) o_uid=$o_user ;;
    esac
    case $o_group in
        "") ;;
        *[!0-9]*)
            o_line=$(getent group "$o_group" 2>/dev/null || grep "^$o_group:" /etc/group) || die "there is no group $o_group"
            o_gid=${o_line#*:*:} o_gid=${o_gid%%:*}
            ;;
        *) o_gid=$o_group ;;
    esac
}

may_give() { # for everybody but root
    case $o_uid in "" | "$o_me") ;; *) hinder "only root can give it to ${o_user:-$o_uid}" ;; esac
    case " $(id -G) " in *" $o_gid "*) ;; *) [ -z "$o_gid" ] || hinder "only root can give it the group ${o_group:-$o_gid}" ;; esac
}

place() {
    as_planned
    if [ -n "$o_in_place" ]; then
        belong "$o_dest"
    else
        belong "$o_new"
        [ "$o_kind" != file ] || back_up
        swap_in "$o_new" "$o_dir" "$o_name" || die "cannot put $o_dest in its place"
    fi
    flush
    prune
}

as_planned() {
    case $o_kind in
        file)
            [ -f "$o_dest" ] && [ ! -L "$o_dest" ] && checksum "$o_dest" && [ "$o_sum" = "$o_was" ]
            ;;
        link) [ "$(readlink "$o_dest")" = "$o_target" ] ;;
        *) [ ! -e "$o_dest" ] && [ ! -L "$o_dest" ] ;;
    esac || die "$o_dest was changed by somebody else since it was looked at"
}

belong() { # FILE: set owner and mode; the mode last, because a change of owner takes bits away
    case $o_give in
        :) ;;
        *:) chown "${o_give%:}" "$1" ;;
        *) chown "$o_give" "$1" ;;
    esac || die "cannot set the owner of $1"
    [ "$o_kind" != file ] || [ -n "$o_in_place" ] || keep_attributes "$o_dest" "$1"
    chmod "$o_mode" "$1" || die "cannot set the mode of $1"
}

back_up() {
    ln "$o_dest" "$o_backup" 2>/dev/null && return
    # A file system without hard links. A copy that is half done must not look like a backup.
    cp -p "$o_dest" "$o_backup.part" && mv -f "$o_backup.part" "$o_backup" || die "cannot make the backup $o_backup"
}

prune() { # the newest backups stay, and all of this run; their names sort by time
    set -- "$o_dir/.$o_name".[0-9][0-9][0-9][0-9][0-9][0-9][0-9][0-9]T*~
    for o_old in "$@"; do
        [ $# -gt "$o_keep" ] || return 0
        shift
        case $o_old in "$o_dir/.$o_name.$o_run-"*) ;; *) rm -f "$o_old" ;; esac
    done
}

restore() {
    if [ -n "$o_in_place" ]; then
        [ ! -f "$o_dest" ] || [ -L "$o_dest" ] || belong "$o_dest"
    else
        "restore_$o_kind"
    fi
    rm -rf "$o_new" "$o_new.swap" "$o_backup.part" "$o_backup.swap"
    flush
}

restore_none() {
    if ours; then
        rm -f "$o_dest" || die "cannot remove $o_dest"
    fi
}

restore_link() {
    [ "$(readlink "$o_dest")" != "$o_target" ] || return 0
    if ours; then
        rm -f "$o_new"
        ln -s "$o_target" "$o_new" && swap_in "$o_new" "$o_dir" "$o_name" || die "cannot make the link $o_dest"
    fi
}

restore_file() {
    # A swap that was cut short.
    [ ! -e "$o_backup.swap/$o_name" ] || mv -f "$o_backup.swap/$o_name" "$o_backup"
    if [ ! -e "$o_backup" ]; then
        ! is_new || die "$o_dest cannot be put back: its backup $o_backup is gone"
    elif [ "$(inode "$o_dest")" = "$(inode "$o_backup")" ]; then
        rm -f "$o_backup" # nothing was put in place
    else
        keep_edited
        swap_in "$o_backup" "$o_dir" "$o_name" || die "cannot put $o_backup back to $o_dest"
    fi
}

ours() { # what is there was put there by us; what others made of it is kept
    is_new && return
    [ -n "$o_finished" ] || return
    keep_edited
}

is_new() { [ -f "$o_dest" ] && [ ! -L "$o_dest" ] && checksum "$o_dest" && [ "$o_sum" = "$o_sha256" ]; }

keep_edited() {
    [ -f "$o_dest" ] && [ ! -L "$o_dest" ] || return 0
    checksum "$o_dest"
    case $o_sum in "$o_sha256" | "$o_was") return 0 ;; esac
    cp -p "$o_dest" "${o_backup%?}.edited~" || die "cannot keep what others made of $o_dest"
    say edited "${o_backup%?}.edited~"
}

inode() { ls -di "$1" 2>/dev/null | awk 'NR == 1 { print $1 }'; }

flush() { sync "$o_dir" 2>/dev/null || sync; }

absolute "$o_dest"
o_dest=$o_path
o_name=${o_dest##*/}
o_dir=${o_dest%/*}
o_dir=${o_dir:-/}
