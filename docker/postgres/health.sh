#!/bin/sh
# Over TCP, as the clients come: while a new database is initialised, only its socket answers.
set -eu
pg_isready --quiet --host=127.0.0.1
PGPASSWORD="$APP_PASSWORD" PGCONNECT_TIMEOUT=4 psql --no-psqlrc --quiet --tuples-only --no-align \
    --host=127.0.0.1 --username="$APP_USER" --dbname="$POSTGRES_DB" --command='SELECT 1' >/dev/null
