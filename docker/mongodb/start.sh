#!/bin/sh
# MongoDB as a replica set of one member, with a login: transactions and change streams need a replica set, and a replica
# set with a login needs a key file. The members of a set share it; one member alone can have a new one at each start.
set -eu
umask 077
head -c 700 /dev/urandom | base64 | tr -d '\n' >/tmp/replica.key
chmod 400 /tmp/replica.key
exec docker-entrypoint.sh mongod --bind_ip_all --replSet rs0 --keyFile /tmp/replica.key --wiredTigerCacheSizeGB 0.25
