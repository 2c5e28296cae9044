# shellcheck shell=sh disable=SC2154
# Sourced by ./wheels. There is no CPython for musl to be had, so one is made, once, of Debian's sources, by the
# compiler that makes the wheels; Debian's musl runs it. It has no ssl and no pip: pip of this machine
# installs for it.

musl_sources() { # of the release that this machine has, as it was released: mirrors keep that
    lists=$cache/musl/apt
    mkdir -p "$lists/sources" "$lists/state/lists/partial" "$lists/cache/archives/partial" || return 1
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*; do
        [ ! -f "$file" ] || sed 's/^Types: deb$/Types: deb-src/; s/^deb /deb-src /' "$file" >"$lists/sources/${file##*/}"
    done
    # shellcheck disable=SC1091
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    musl_apt update && (cd "$cache/musl" &&
        musl_apt source --download-only "libffi/$release" "zlib/$release" "$(musl_python_name)/$release")
}

musl_apt() {
    apt-get -qq -o Dir::State="$lists/state" -o Dir::State::status="$lists/status" -o Dir::Cache="$lists/cache" \
        -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$lists/sources" -o APT::Sandbox::User=root "$@"
}

# As the arm64 one, so the release's own.
musl_python_name() { basename "$(only "$cache/arm64/system/usr/bin"/python3.[0-9]*[0-9])"; }

# zlib because hypothesis imports it, libffi because the tests use ctypes.
musl_python() (
    [ ! -e "$cache/musl/made" ] || exit 0
    rm -rf "$cache/musl" && mkdir -p "$cache/musl/build" "$cache/musl/bin" || exit 1
    musl_sources && make_musl_compiler || exit 1
    for archive in "$cache"/musl/*.orig.tar.*; do
        tar -C "$cache/musl/build" -xf "$archive" || exit 1
    done
    log=$cache/musl/log
    build_musl_python >"$log" 2>&1 || { tail -n 50 "$log"; exit 1; }
    rm -rf "$cache/musl/build" "$cache/musl/apt" "$cache"/musl/*.tar.* && : >"$cache/musl/made"
)

# What configure would find out by asking a newer musl, or the machine's own pkg-config, is said to it.
build_musl_python() {
    made=$cache/musl/made-of
    for_musl zlib --static --prefix="$made" &&
        for_musl libffi --disable-shared --disable-docs --disable-exec-static-tramp --disable-multi-os-directory \
            --prefix="$made" &&
        PKG_CONFIG=false ac_cv_func_preadv2=no ac_cv_func_pwritev2=no ac_cv_buggy_getaddrinfo=no \
            for_musl '[Pp]ython' --prefix="$cache/musl/python" --without-ensurepip --disable-test-modules \
            LDFLAGS="-L$made/lib" CPPFLAGS="-I$made/include"
}

for_musl() ( # WHAT CONFIGURE-ARGUMENTS...
    # shellcheck disable=SC2086
    cd "$cache"/musl/build/$1-* || exit 1
    shift
    bin=$cache/musl/bin
    set -- env CC="$bin/cc" AR="$bin/ar" RANLIB="$bin/ranlib" CFLAGS='-O2 -fPIC -g0' ./configure "$@"
    "$@" && make -j2 && make install
)

# zig itself, since a Python for each of the thousands of calls would take minutes.
make_musl_compiler() {
    zig=$("$venv/bin/python" -c 'import os, ziglang; print(os.path.dirname(ziglang.__file__) + "/zig")') || return 1
    loader=$(musl_loader "$cache/arm64/host") || return 1
    printf '#!/bin/sh\nexec "%s" cc -target x86_64-linux-musl -dynamic -Wno-date-time "-Wl,--dynamic-linker=%s" "$@"\n' \
        "$zig" "$loader" >"$cache/musl/bin/cc"
    for tool in ar ranlib; do
        # shellcheck disable=SC2016
        printf '#!/bin/sh\nexec "%s" %s "$@"\n' "$zig" $tool >"$cache/musl/bin/$tool"
    done
    chmod +x "$cache/musl/bin/"*
}

# It takes itself for one of glibc, by the names of the modules that it looks for.
into_musl() {
    into "$work/musl" "$(musl_python_name | sed 's/python//')" musllinux_1_1_x86_64 musllinux_1_2_x86_64 -- "$@" || return 1
    suffix=$("$cache/musl/python/bin/python3" -c 'import sysconfig; print(sysconfig.get_config_var("EXT_SUFFIX"))')
    find "$work/musl" -name '*-linux-musl.so' | while read -r module; do
        ln -sf "${module##*/}" "${module%.cpython-*}$suffix"
    done
}

run_musl() {
    into_musl "$1" || return 1
    PYTHONPATH=$work/musl tries "$1" native "$cache/musl/python/bin/python3"
}

# A later numpy does not load there.
suite_musl() {
    into_musl "$1" --group "$top/pyproject.toml:test" 'numpy<2.1' || return 1
    PYTHONPATH=$work/musl suite "$1" native "${parts:-$parts_of_musl}" "$cache/musl/python/bin/python3"
}
