# shellcheck shell=bash
# What the scripts share: words on the terminal, and finding out where and as whom we run.
# Sourced, never run. It must never install or change anything by itself.

# The repository, wherever the script was called from.
ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# What setup finds and fetches, apart from what cargo builds; ignored by git as all of target/.
# shellcheck disable=SC2034 # used by those who source this
SETUP_DIR=$ROOT/target/setup

# say TEXT: what is being done now.
say() { printf '==> %s\n' "$*"; }

# note TEXT: a detail of it.
note() { printf '    %s\n' "$*"; }

# fail TEXT...: what is wrong, then what to do about it, one line each; ends the script.
fail() {
    printf 'error: %s\n' "$1" >&2
    shift
    local line
    for line in "$@"; do printf '       %s\n' "$line" >&2; done
    exit 1
}

# have COMMAND: is it there?
have() { command -v "$1" >/dev/null 2>&1; }

# need COMMAND TEXT...: ends the script with the remedy unless the command is there.
need() {
    local command=$1
    shift
    have "$command" || fail "$command is needed and was not found" "$@"
}

# as_root COMMAND...: runs it with the rights to install packages.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have sudo; then
        sudo "$@"
    else
        fail "this needs root, and there is no sudo" "run as root: $*"
    fi
}

# work_dir PARENT: makes a directory for what is not finished yet, on the same file system as what it
# becomes, and removes it when the script ends. Its name is in WORK.
work_dir() {
    mkdir -p "$1"
    WORK=$(mktemp -d "$1/.work.XXXXXX")
    trap 'rm -rf -- "$WORK"' EXIT
}

# replace_if_changed NEW OLD: moves NEW over OLD in one step, or drops it when they are equal, so
# that timestamps only move when something did. True when it changed.
replace_if_changed() {
    if cmp -s -- "$1" "$2"; then
        rm -f -- "$1"
        return 1
    fi
    mv -f -- "$1" "$2"
}
