# Whether something can be made in a directory, before anything is tried.

writable() ( # DIRECTORY, or the nearest above it that there is; says why not
    while [ ! -e "$1" ] && [ ! -L "$1" ]; do set -- "$(dirname -- "$1")"; done
    if [ ! -d "$1" ]; then
        say closed "$1 is not a directory"
    elif [ ! -w "$1" ] || [ ! -x "$1" ]; then
        say closed "$(id -un) may not write in $1 (see \`become\`)"
    fi
)
