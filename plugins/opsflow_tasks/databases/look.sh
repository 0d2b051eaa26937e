# Expects: directory, tag, the functions of an engine. Says what a backup needs to know, a fact a line.
ready
about
directory=$(absolute "$directory")
printf 'directory %s\nfree %s\n' "$directory" "$(free_kib "$directory")"
for manifest in "$directory"/*-"$tag"-*.manifest.json; do
    data=${manifest%.manifest.json}
    [ -f "$manifest" ] && [ -f "$data" ] || continue
    printf 'prior %s %s\n' "$(checksum "$data")" "$(tr -d '\n' <"$manifest")"
done
