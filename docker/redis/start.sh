#!/bin/sh
# Redis with the configuration named. Production brings a list of users and a certificate, and Redis listens with TLS
# alone; in development it has one user, whose password is known to the server as a hash alone.
set -eu
umask 077
secrets=/run/secrets
{
    cat /etc/cotai/common.conf "/etc/cotai/$1.conf"
    [ -z "${REDIS_MAXMEMORY:-}" ] || echo "maxmemory $REDIS_MAXMEMORY"
    if [ -e "$secrets/users.acl" ]; then
        echo "aclfile $secrets/users.acl"
        echo "port 0"
        echo "tls-port 6379"
        echo "tls-cert-file $secrets/tls.crt"
        echo "tls-key-file $secrets/tls.key"
        echo "tls-ca-cert-file $secrets/ca.pem"
        echo "tls-auth-clients no"
        echo 'tls-protocols "TLSv1.2 TLSv1.3"'
    else
        hash="$(printf %s "${REDIS_PASSWORD:?}" | sha256sum | cut -d ' ' -f 1)"
        echo "user default on #$hash ~* &* +@all"
    fi
} >/tmp/redis.conf
exec docker-entrypoint.sh redis-server /tmp/redis.conf
