# shellcheck shell=sh
# Sourced by the entry points.

# from_file NAME [DEFAULT]: exports NAME from itself, else from the file that NAME_FILE names, else from DEFAULT.
from_file() {
    eval "value=\${$1-} file=\${$1_FILE-}"
    if [ -n "$value" ] && [ -n "$file" ]; then
        echo "$1 and $1_FILE are both set: leave one of them out" >&2
        exit 1
    fi
    if [ -n "$file" ]; then
        value=$(cat "$file") || {
            echo "$1_FILE names $file, which cannot be read by uid $(id -u)" >&2
            exit 1
        }
    fi
    export "$1=${value:-${2-}}"
    unset "$1_FILE"
}

# own USER DIRECTORY…: gives what another user left there to USER; only what needs it, for a volume may be large.
own() {
    user=$1
    shift
    find "$@" ! -user "$user" -exec chown "$user:$user" {} +
}

# become USER COMMAND…: goes on as USER, without any capability of root.
become() {
    user=$1
    shift
    HOME=$(getent passwd "$user" | cut -d : -f 6)
    export HOME
    exec setpriv --reuid="$user" --regid="$user" --init-groups -- "$@"
}
