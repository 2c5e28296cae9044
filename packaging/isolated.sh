# shellcheck shell=sh
# Sourced by ./dev and packaging/wheels, which run tests.

# A private IPC namespace, where we may make one: no other program's object is in the way of
# the tests, and what is left behind is theirs.
can_isolate() { [ "$(id -u)" = 0 ] && unshare --ipc --mount true 2>/dev/null; }

isolated() {
    if can_isolate; then
        # shellcheck disable=SC2016
        unshare --ipc --mount sh -c '
            for fs in mqueue:/dev/mqueue tmpfs:/dev/shm; do
                [ ! -d "${fs#*:}" ] || mount -t "${fs%%:*}" none "${fs#*:}" || exit 1
            done
            exec "$@"' isolated "$@"
    else
        "$@"
    fi
}
