# shellcheck shell=sh
# Sourced by ./dev, .ci/run and the scripts beside this file: steps that are run one after the
# other whatever became of the one before, and a table at the end that leaves none out.

results=
failed=0
step_ok=true

record() { results="$results$(printf '\n  %-42s %s' "$1" "$2")"; }

# step NAME COMMAND...: run it, remember how it ended and how long it took, go on.
# Sets step_ok to a command: true or false.
# `set -e` is off inside COMMAND (it is a condition here): a function must see to its own errors.
step() {
    step_name=$1
    shift
    printf '\n== %s\n' "$step_name"
    step_began=$(date +%s)
    if "$@" </dev/null; then
        step_ok=true
        record "$step_name" "ok ($(($(date +%s) - step_began)) s)"
    else
        record "$step_name" "FAILED with status $? ($(($(date +%s) - step_began)) s)"
        step_ok=false
        failed=1
    fi
}

not_run() {
    printf '\n== %s: not run: %s\n' "$1" "$2"
    record "$1" "not run: $2"
}

finish() {
    printf '\n== summary%s\n' "$results"
    exit "$failed"
}
