#!/bin/sh
# Over TCP, as the clients come: while a new database is initialised, only its socket answers. The first question after
# each start also brings the roles up to date.
set -eu
# shellcheck source=secret.sh
. /etc/cotai/secret.sh
if [ -e /run/secrets/tls.crt ]; then
    export PGSSLMODE=verify-full PGSSLROOTCERT=/run/secrets/ca.pem
fi
pg_isready --quiet --host=127.0.0.1

# Written to once the roles are right; it goes with the container's /tmp.
mark=/tmp/cotai-roles
if [ ! -e "$mark" ]; then
    sh /etc/cotai/roles.sh
    touch "$mark"
fi
PGPASSWORD="$(secret APP_PASSWORD)" PGCONNECT_TIMEOUT=4 psql --no-psqlrc --quiet --tuples-only --no-align \
    --host=127.0.0.1 --username="$(login)" --dbname="$POSTGRES_DB" --command='SELECT 1' >/dev/null
