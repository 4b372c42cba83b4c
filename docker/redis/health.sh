#!/bin/sh
# Without a password redis-cli prints an error and still exits 0: it is the answer that counts.
if [ -n "${REDIS_PASSWORD_FILE:-}" ]; then
    REDIS_PASSWORD="$(cat "$REDIS_PASSWORD_FILE")"
fi
answer="$(REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli -t 4 ping 2>&1)"
echo "$answer"
[ "$answer" = PONG ]
