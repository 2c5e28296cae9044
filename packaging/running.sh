# shellcheck shell=sh disable=SC2154
# Sourced by ./wheels: installs a wheel into an empty environment, runs it there, and keeps what was seen.

# ---- what was seen ---------------------------------------------------------------------------

saw() { printf '%s|%s|%s\n' "$(basename "$1")" "$2" "$3" >>"$work/seen"; } # WHEEL WHERE WHAT

# Which Python, which C library, which machine: as that Python sees it.
where() {
    "$@" -c 'import platform, sys
print(platform.python_implementation(), platform.python_version() + ",", *platform.libc_ver(), platform.machine())'
}

# A wheel that nobody noted has been built, and no more.
table() {
    printf '\n== what was run where\n'
    for file in "$dist"/*; do
        printf '\n%7s kB  %s\n' "$(($(wc -c <"$file") / 1000))" "$(basename "$file")"
        { grep "^$(basename "$file")|" "$work/seen" || echo '|nowhere|only built and checked'; } |
            while IFS='|' read -r _ where what; do printf '            %-38s %s\n' "$where" "$what"; done
    done
    printf '\n            cp314-cp314t, cp314t: without a GIL     built nowhere here; by the release alone\n'
}

# ---- what a stranger does --------------------------------------------------------------------

# The first example that the README shows, as it stands. It needs the core.
first_example() {
    awk '/^```$/ && on { exit } on; /^```python$/ { on = 1 }' "$top/README.md" >"$work/example.py"
    [ -s "$work/example.py" ]
}

# tries WHEEL BACKEND PYTHON...: it works, from a directory with nothing in it.
tries() (
    wheel=$1 backend=$2
    shift 2
    cd "$(mktemp -d -p "$work")" && "$@" "$here/smoke.py" "$backend" || exit 1
    what=smoke
    if [ "$backend" = native ]; then
        "$@" "$work/example.py" || exit 1
        what="smoke, the README's first example"
    fi
    saw "$wheel" "$(where "$@")" "$what"
)

# ---- the installed suite ---------------------------------------------------------------------
# The tests stand beside nothing that could be taken for the package: what passes is what was installed.

suite_tree() {
    cp -r "$work/tree" "$work/suite" && rm -rf "$work/suite/pyipc" "$work/suite/csrc"
}

# suite WHEEL BACKEND PARTS PYTHON...: PARTS are names below tests/; none are all.
# tests/project looks at the source.
suite() (
    wheel=$1 backend=$2 which=$(printf %s "$3" | tr -s "\n " " ")
    shift 3
    cd "$(mktemp -d -p "$work")" || exit 1
    paths=$work/suite/tests
    if [ -n "$which" ]; then
        paths=
        for part in $which; do paths="$paths $work/suite/tests/$part"; done
    fi
    # shellcheck disable=SC2086
    PYIPC_BACKEND=$backend PYTHONDONTWRITEBYTECODE=1 isolated "$@" -m pytest -p no:cacheprovider \
        -c "$work/suite/pyproject.toml" --rootdir="$work/suite" --ignore="$work/suite/tests/project" \
        $paths >log 2>&1 </dev/null && status=0 || status=$?
    tail -n 200 log
    saw "$wheel" "$(where "$@")" "suite${which:+ ($which)}: $(tail -n 1 log | tr -d =)"
    return "$status"
)

# ---- in a virtualenv -------------------------------------------------------------------------

environment() ( # DIRECTORY PYTHON WHEEL BACKEND
    "$2" -m venv "$1" || exit 1
    case $4 in
        fallback) "$1/bin/python" -m pip -q install "$3[fallback]" ;;
        *) "$1/bin/python" -m pip -q install "$3" ;;
    esac && tries "$3" "$4" "$1/bin/python"
)

suite_in_environment() { # DIRECTORY WHEEL BACKEND PARTS
    "$1/bin/python" -m pip -q install --upgrade 'pip>=25.1' &&
        "$1/bin/python" -m pip -q install --group "$top/pyproject.toml:test" &&
        suite "$2" "$3" "$4" "$1/bin/python"
}

# run_here NAME PYTHON WHEEL BACKEND [PARTS]: in an environment of its own, and if asked the suite there.
run_here() {
    fresh=$(mktemp -d -p "$work")
    chmod 755 "$fresh"
    step "run $1" environment "$fresh/venv" "$2" "$3" "$4"
    if $step_ok && $tests; then
        step "suite $1" suite_in_environment "$fresh/venv" "$3" "$4" "${parts:-${5:-}}"
    fi
    rm -rf "$fresh"
}

# One interpreter of each other version: those in PATH, and those that a version manager keeps
# beside this one (VERSION/bin/python3.N).
other_pythons() {
    for minor in 9 10 11 12 13 14; do
        for python in "python3.$minor" "$(dirname "$base")"/../../*/bin/"python3.$minor"; do
            "$python" -I -c 'import ensurepip' 2>/dev/null || continue
            same_version "$python" || command -v "$python"
            break
        done
    done
}

same_version() { [ "$("$1" -V)" = "$("$base" -V)" ]; }
