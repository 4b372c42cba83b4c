#!/bin/sh
# Runs once, on an empty volume: the application's role owns its database and is no superuser; the exporter's only reads
# statistics, and shares the application's password until it is given one of its own.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --dbname="$POSTGRES_DB" <<'SQL'
\getenv app_user APP_USER
\getenv app_password APP_PASSWORD
\getenv database POSTGRES_DB
CREATE ROLE :"app_user" LOGIN PASSWORD :'app_password';
ALTER DATABASE :"database" OWNER TO :"app_user";
ALTER SCHEMA public OWNER TO :"app_user";
CREATE ROLE exporter LOGIN PASSWORD :'app_password' IN ROLE pg_monitor;
CREATE EXTENSION pg_stat_statements;
SQL
