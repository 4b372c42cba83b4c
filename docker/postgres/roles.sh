#!/bin/sh
# Makes the roles as they shall be, whatever is there already: on an empty volume, and again whenever the container starts
# anew (health.sh), so that a volume of an earlier version gets what it lacks, and each role the password that is
# configured now. The application's role owns its database and is no superuser; while its password changes, two logins
# take turns, and the second one acts as the first. `monitor` reads statistics, and shares the application's password where
# it has none of its own.
set -eu
# shellcheck source=secret.sh
. /etc/cotai/secret.sh

APP_LOGIN="$(login)"
APP_PASSWORD="$(secret APP_PASSWORD)"
MONITOR_PASSWORD="$(secret MONITOR_PASSWORD)"
export APP_LOGIN APP_PASSWORD MONITOR_PASSWORD="${MONITOR_PASSWORD:-$APP_PASSWORD}"

psql --no-psqlrc --quiet --no-password --set=ON_ERROR_STOP=1 --username=postgres --dbname="$POSTGRES_DB" <<'SQL'
SET client_min_messages = warning;
\getenv app_user APP_USER
\getenv app_login APP_LOGIN
\getenv app_password APP_PASSWORD
\getenv monitor_password MONITOR_PASSWORD
\getenv database POSTGRES_DB
SELECT pg_is_in_recovery() AS recovering \gset
\if :recovering
    \quit
\endif
SELECT DISTINCT format('CREATE ROLE %I NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', name)
    FROM unnest(ARRAY[:'app_user', :'app_login', 'monitor']) AS name
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
ALTER ROLE :"app_login" LOGIN PASSWORD :'app_password';
SELECT format('GRANT %1$I TO %2$I', :'app_user', :'app_login'), format('ALTER ROLE %2$I SET role = %1$L', :'app_user', :'app_login')
    WHERE :'app_user' <> :'app_login' \gexec
ALTER DATABASE :"database" OWNER TO :"app_user";
ALTER SCHEMA public OWNER TO :"app_user";
ALTER ROLE monitor LOGIN PASSWORD :'monitor_password' CONNECTION LIMIT 5;
GRANT pg_monitor TO monitor;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
SQL
