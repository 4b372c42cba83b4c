#!/bin/sh
# Starts Redis as the official image does: `-x`, `FILE.conf` or `redis-server …`, reachable from other containers.
set -eu
# shellcheck source=../common/from-file.sh
. /usr/local/lib/from-file.sh

case ${1-} in -* | *.conf) set -- redis-server "$@" ;; esac

if [ "$1" = redis-server ] && [ "$(id -u)" = 0 ]; then
    own redis .
    become redis "$0" "$@"
fi

# Protected mode refuses every client beyond loopback when no password is set: in a container's own network that is
# everybody. The official build has it off by default; what a configuration file or an option says comes first.
if [ "$1" = redis-server ]; then
    shift
    case ${1-} in
        '' | -*) set -- --protected-mode no "$@" ;;
        *)
            file=$1
            shift
            if grep -qs '^ *protected-mode' "$file"; then
                set -- "$file" "$@"
            else
                set -- "$file" --protected-mode no "$@"
            fi
            ;;
    esac
    set -- redis-server "$@"
fi

exec "$@"
