# shellcheck shell=bash
# Functions shared by the scripts: messages, the repository's place, packages and work directories.
# Sourced, never run. Sourcing it installs and changes nothing.

# The repository, wherever the script was called from.
ROOT=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# Results and downloads of scripts/setup, apart from cargo's builds; ignored by git as all of target/.
# shellcheck disable=SC2034 # used by the scripts that source this
SETUP_DIR=$ROOT/target/setup

# say TEXT: prints the step that begins.
say() { printf '==> %s\n' "$*"; }

# note TEXT: prints a detail of the step.
note() { printf '    %s\n' "$*"; }

# fail TEXT...: prints the error, then its remedies, one line each; ends the script.
fail() {
    printf 'error: %s\n' "$1" >&2
    shift
    local line
    for line in "$@"; do printf '       %s\n' "$line" >&2; done
    exit 1
}

# have COMMAND: true if it is on the path.
have() { command -v "$1" >/dev/null 2>&1; }

# need COMMAND TEXT...: ends the script with the remedy unless the command is on the path.
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

# work_dir PARENT: makes a directory for unfinished files, on the file system of the finished ones, and
# removes it when the script ends. Its name is in WORK.
work_dir() {
    mkdir -p "$1"
    WORK=$(mktemp -d "$1/.work.XXXXXX")
    trap 'rm -rf -- "$WORK"' EXIT
}

# replace_if_changed NEW OLD: moves NEW over OLD in one step, or deletes NEW when they are equal, so
# that a timestamp changes only with the content. True when it changed.
replace_if_changed() {
    if cmp -s -- "$1" "$2"; then
        rm -f -- "$1"
        return 1
    fi
    mv -f -- "$1" "$2"
}
