# Expects: directory, name, verify, scratch, the functions of an engine. Takes away what an attempt left unfinished; a
# backup with a manifest is a good one.
rm -rf -- "$directory/.$name.partial"
[ -f "$directory/$name.manifest.json" ] || rm -f -- "$directory/$name" "$directory/$name.contents"
[ "$verify" != restore ] || dismantle
