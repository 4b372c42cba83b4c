#!/bin/sh
# MongoDB as a replica set of one member, with a login: transactions and change streams need a replica set, and a replica
# set with a login needs a key file. The members of a set share it: production has one, and TLS beside it. In
# development one member alone can have a new one at each start.
set -eu
umask 077
secrets=/run/secrets
set -- mongod --bind_ip_all --replSet rs0 --wiredTigerCacheSizeGB "${MONGODB_CACHE_GB:-0.25}"
if [ -e "$secrets/tls.pem" ]; then
    # Applications show a password and no certificate of their own; the exporter has one.
    set -- "$@" --keyFile "$secrets/replica.key" --tlsMode requireTLS --tlsCertificateKeyFile "$secrets/tls.pem" \
        --tlsCAFile "$secrets/ca.pem" --tlsAllowConnectionsWithoutCertificates --tlsDisabledProtocols TLS1_0,TLS1_1
else
    head -c 700 /dev/urandom | base64 | tr -d '\n' >/tmp/replica.key
    chmod 400 /tmp/replica.key
    set -- "$@" --keyFile /tmp/replica.key
fi
exec docker-entrypoint.sh "$@"
