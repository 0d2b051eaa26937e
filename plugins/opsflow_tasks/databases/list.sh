# Expects: directory. Says path and manifest of each backup, a line each.
for manifest in "$directory"/*.manifest.json; do
    [ -f "$manifest" ] || continue
    printf '%s\t%s\n' "${manifest%.manifest.json}" "$(brief "$manifest")"
done
