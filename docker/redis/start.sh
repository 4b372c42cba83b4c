#!/bin/sh
# Redis with the configuration named, and a user whose password is known to the server as a hash alone.
set -eu
umask 077
if [ -n "${REDIS_PASSWORD_FILE:-}" ]; then
    REDIS_PASSWORD="$(cat "$REDIS_PASSWORD_FILE")"
fi
hash="$(printf %s "${REDIS_PASSWORD:?}" | sha256sum | cut -d ' ' -f 1)"
{
    cat "/etc/cotai/$1.conf"
    echo "user default on #$hash ~* &* +@all"
} >/tmp/redis.conf
exec docker-entrypoint.sh redis-server /tmp/redis.conf
