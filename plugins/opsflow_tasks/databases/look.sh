# Expects: directory, tag, packer, the functions of an engine. Says what a backup needs to know, a fact a line.
ready
command -v "${packer%% *}" >/dev/null 2>&1 || fail "${packer%% *} is not installed"
about
directory=$(absolute "$directory")
may_write "$directory"
printf 'directory %s\nfree %s\n' "$directory" "$(free_kib "$directory")"
for manifest in "$directory"/*-"$tag"-*.manifest.json; do
    data=${manifest%.manifest.json}
    [ -f "$manifest" ] && [ -f "$data" ] || continue
    printf 'prior %s %s\n' "$(checksum "$data")" "$(brief "$manifest")"
done
