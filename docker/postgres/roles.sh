#!/bin/sh
# Makes the roles as they shall be, whatever is there already: on an empty volume, and again whenever the container starts
# anew (health.sh), so that a volume of an earlier version gets what it lacks, and each role the password that is
# configured now. The application's role owns its database and is no superuser; `monitor` reads statistics, and shares
# the application's password where it has none of its own.
set -eu
. /etc/cotai/secret.sh

APP_PASSWORD="$(secret APP_PASSWORD)"
MONITOR_PASSWORD="$(secret MONITOR_PASSWORD)"
export APP_PASSWORD MONITOR_PASSWORD="${MONITOR_PASSWORD:-$APP_PASSWORD}"

psql --no-psqlrc --quiet --no-password --set=ON_ERROR_STOP=1 --username=postgres --dbname="$POSTGRES_DB" <<'SQL'
SET client_min_messages = warning;
\getenv app_user APP_USER
\getenv app_password APP_PASSWORD
\getenv monitor_password MONITOR_PASSWORD
\getenv database POSTGRES_DB
SELECT pg_is_in_recovery() AS recovering \gset
\if :recovering
    \quit
\endif
SELECT format('CREATE ROLE %I', name)
    FROM unnest(ARRAY[:'app_user', 'monitor']) AS name
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE :"app_user" LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS PASSWORD :'app_password';
ALTER DATABASE :"database" OWNER TO :"app_user";
ALTER SCHEMA public OWNER TO :"app_user";
ALTER ROLE monitor LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS CONNECTION LIMIT 5
    PASSWORD :'monitor_password';
GRANT pg_monitor TO monitor;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
SQL
