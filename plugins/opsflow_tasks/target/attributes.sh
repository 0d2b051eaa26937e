# What belongs to a file beside mode and owner: its ACL, its attributes `user.*`, its SELinux label. What takes its place
# gets them. Not its capabilities, which another program was given, nor signatures of what it held.

say_lost() { # FILE: for the plan, what takes its place cannot get
    o_lost=
    if ! command -v setfacl >/dev/null && has_acl "$1"; then lose "its ACL (there is no setfacl)"; fi
    if command -v getfattr >/dev/null && attributes "$1" '^security\.capability$' | grep -q =; then
        lose "its capabilities (see setcap)"
    fi
    say lost "$o_lost"
}

lose() { o_lost=$o_lost${o_lost:+, }$1; }

has_acl() { # FILE; not every `ls` tells
    case $(ls -ldn "$1") in ??????????+*) ;; *) return 1 ;; esac
}

keep_attributes() { # FILE NEW, which its user alone may read; it stays so until its mode is set
    if command -v setfacl >/dev/null && command -v getfacl >/dev/null; then
        keep_acl "$1" "$2" || die "cannot set the ACL of $2"
    fi
    if command -v setfattr >/dev/null && command -v getfattr >/dev/null; then
        # Both know it by that name, whatever it is called.
        attributes "$1" '^user\.' | setfattr --restore=- 3<>"$2" || die "cannot set the attributes of $2"
    fi
    case $(ls -dZ "$1" 2>/dev/null) in
        "" | "?"*) ;;
        *) chcon --reference="$1" "$2" || die "cannot set the SELinux label of $2" ;;
    esac
}

keep_acl() { # without what the directory gives to all that is new in it; not every file system has ACLs
    case $(getfacl -cp "$2") in *mask::*) setfacl -b "$2" || return ;; esac
    o_acl=$(getfacl -cp "$1" | sed -n '
        s/[[:space:]]*#.*//
        s/^mask::.*/mask::---/p
        /^group:/p
        /^user:[^:]/p')
    case $o_acl in
        *mask::*) printf '%s\n' "$o_acl" | setfacl -M - "$2" ;; # the mode brings the mask
    esac
}

attributes() { getfattr -d -e base64 -m "$2" --absolute-names /dev/fd/3 3<"$1" 2>/dev/null; }
