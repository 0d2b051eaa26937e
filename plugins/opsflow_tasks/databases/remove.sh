# Expects: paths, one a line. The manifest first: without it a file is no backup.
printf '%s\n' "$paths" | while IFS= read -r path; do
    rm -f -- "$path.manifest.json" "$path" "$path.contents" || exit 1
done
