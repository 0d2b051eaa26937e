# Putting one thing in the place of another.

checksum() { # FILE -> o_sum (SHA-256); by whatever program is there
    [ -r "$1" ] || die "$1 cannot be read"
    o_sum=$(sha256sum <"$1" 2>/dev/null || busybox sha256sum <"$1" 2>/dev/null ||
        openssl dgst -r -sha256 <"$1" 2>/dev/null) || die "no program for SHA-256 is there (sha256sum, busybox, openssl)"
    o_sum=${o_sum%% *}
}

swap_in() { # NEW DIRECTORY NAME: at every moment the old one is there or the new one
    # Over a link to a directory `mv` goes into that directory, unless it knows -T or -h, which few do. Moved by its
    # name into the directory that holds the link, it goes over the link, with every `mv`.
    rm -rf "$1.swap"
    mkdir "$1.swap" && mv -f "$1" "$1.swap/$3" && mv -f "$1.swap/$3" "$2/" && rmdir "$1.swap"
}
