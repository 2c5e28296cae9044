# shellcheck shell=sh disable=SC2154
# Sourced by ./wheels: the wheels for aarch64, run by qemu, and those for musl, run by musl's own loader.

# A Debian arm64 Python and its libraries, unpacked and not installed, run by qemu without binfmt
# or root. apt is asked with a private state, as if nothing were installed.
arm64_apt() {
    apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 \
        -o Dir::State="$cache/apt/state" -o Dir::State::status="$cache/apt/status" \
        -o Dir::Cache="$cache/apt/cache" -o APT::Sandbox::User=root -o Debug::NoLocking=1 \
        -o Dir::Etc::preferencesparts=/dev/null "$@"
}

arm64_packages='python3 musl libstdc++6' # the last for numpy

# shellcheck disable=SC2086
arm64_download() { arm64_apt -y --no-install-recommends --download-only install $arm64_packages; }

arm64_files() {
    [ "$(cat "$cache/arm64/unpacked" 2>/dev/null)" != "$arm64_packages" ] || return 0
    rm -rf "$cache/arm64" "$cache/apt"
    mkdir -p "$cache/arm64/debs" "$cache/apt/state/lists/partial" "$cache/apt/cache/archives/partial" &&
        : >"$cache/apt/status" &&
        arm64_apt update && arm64_download &&
        (cd "$cache/arm64/debs" && apt-get -qq -o APT::Sandbox::User=root download qemu-user-static musl) ||
        return 1
    for deb in "$cache"/apt/cache/archives/*.deb; do
        dpkg-deb -x "$deb" "$cache/arm64/system" || return 1
    done
    for deb in "$cache"/arm64/debs/*.deb; do
        dpkg-deb -x "$deb" "$cache/arm64/host" || return 1
    done
    rm -rf "$cache/apt" "$cache/arm64/debs"
    printf '%s\n' "$arm64_packages" >"$cache/arm64/unpacked"
}

arm64() { "$cache/arm64/host/usr/bin/qemu-aarch64-static" -L "$cache/arm64/system" "$@"; }

# A program that is that Python: its children are started by its name, too.
make_arm64_python() {
    python=$(only "$cache/arm64/system/usr/bin"/python3.[0-9]*[0-9]) || return 1
    cat >"$work/bin/python-aarch64" <<END
#!/bin/sh
exec "$cache/arm64/host/usr/bin/qemu-aarch64-static" -L "$cache/arm64/system" -0 "\$0" "$python" "\$@"
END
    chmod +x "$work/bin/python-aarch64"
}

# into DIRECTORY PYTHON-VERSION PLATFORMS... -- WHAT...: what pip would install there.
into() {
    target=$1 version=$2
    shift 2
    platforms=
    while [ "$1" != -- ]; do
        platforms="$platforms --platform $1"
        shift
    done
    shift
    # shellcheck disable=SC2086
    "$venv/bin/python" -m pip -q install --target "$target" --only-binary :all: --implementation cp \
        --python-version "$version" $platforms "$@"
}

into_arm64() {
    into "$work/arm64" "${python##*python}" manylinux2014_aarch64 manylinux_2_17_aarch64 manylinux_2_26_aarch64 \
        manylinux_2_27_aarch64 manylinux_2_28_aarch64 -- "$@"
}

run_arm64() {
    make_arm64_python && into_arm64 "$1" || return 1
    PYTHONPATH=$work/arm64 tries "$1" native "$work/bin/python-aarch64"
}

suite_arm64() {
    into_arm64 "$1" --group "$top/pyproject.toml:test" || return 1
    PYIPC_EMULATED=1 PYTHONPATH=$work/arm64 suite "$1" native "${parts:-$parts_of_arm64}" "$work/bin/python-aarch64"
}

# Locks and channels as another machine's instructions do them. (qemu reorders nothing that this machine
# does not: it is a test of the code, not of the order of memory.)
c_tests_arm64() (
    mkdir "$work/c-arm64" && cd "$work/c-arm64" || exit 1
    for program in test_channel test_channel_loans test_channel_kept test_sync_lock storm_channel; do
        # shellcheck disable=SC2046
        "$work/bin/musl-aarch64" -std=gnu11 -O2 -static -pthread -o "$program" "$top/tests/c/$program.c" \
            $(grep -LE '^#include <(Python|pyconfig)\.h>' "$top"/csrc/*.c) &&
            PYIPC_EMULATED=1 arm64 "./$program" || exit 1
    done
)

# musl's loader resolves the core against musl's own libc, with stand-ins for what Python would provide.
musl_loads() ( # WHEEL ARCH LOADER...
    wheel=$1 arch=$2
    shift 2
    mkdir "$work/musl-$arch" && cd "$work/musl-$arch" || exit 1
    "$venv/bin/python" -m zipfile -e "$wheel" . &&
        "$venv/bin/python" "$here/gate.py" --stand-ins ./*/_core.*so >stand_ins.c &&
        "$work/bin/musl-$arch" -O2 -dynamic -rdynamic -o load "$here/load.c" stand_ins.c || exit 1
    "$@" ./load ./*/_core.*so PyInit__core && saw "$wheel" "musl 1.2.3 $arch" "loaded"
)

musl_loader() { only "$1"/lib/ld-musl-*.so.1 || only "$1"/usr/lib/ld-musl-*.so.1; }
