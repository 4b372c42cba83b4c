#!/bin/sh
# Without a password redis-cli prints an error and still exits 0: it is the answer that counts.
secrets=/run/secrets
if [ -e "$secrets/users.acl" ]; then
    REDIS_PASSWORD="$(cat "$secrets/REDIS_ADMIN_PASSWORD")"
    set -- --tls --cacert "$secrets/ca.pem" --user admin
fi
answer="$(REDISCLI_AUTH="$REDIS_PASSWORD" redis-cli -t 4 "$@" ping 2>&1)"
echo "$answer"
[ "$answer" = PONG ]
