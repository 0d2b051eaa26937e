# Whether a command has anything to do.

nothing_to_do() {
    enter 2>/dev/null || die "there is no directory $o_cwd"
    o_cwd= # entered
    if [ -n "$o_creates" ] && present "$o_creates"; then
        say because "$o_creates exists"
    elif [ -n "$o_removes" ] && ! present "$o_removes"; then
        say because "$o_removes does not exist"
    elif [ -n "$o_unless" ] && look_up "$o_unless"; then
        say because "\`unless\` is satisfied"
    fi
}

present() { # also a symbolic link to nowhere
    absolute "$1"
    [ -e "$o_path" ] || [ -L "$o_path" ]
}
