# Expects: directory, verify, scratch, the functions of an engine. Takes away what attempts left unfinished.
leftovers
[ "$verify" != restore ] || dismantle
