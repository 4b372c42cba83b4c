#!/bin/bash
# Starts PostgreSQL with the environment that the official image documents: POSTGRES_PASSWORD, POSTGRES_USER,
# POSTGRES_DB, POSTGRES_INITDB_ARGS (each also as NAME_FILE), POSTGRES_HOST_AUTH_METHOD, POSTGRES_INITDB_WALDIR, PGDATA.
set -euo pipefail
# shellcheck source=../common/from-file.sh
source /usr/local/lib/from-file.sh

initdb_directory=/docker-entrypoint-initdb.d

# A new cluster is prepared here and moved to PGDATA when it is whole, so that a kill half-way leaves nothing that
# the next start would take for a database.
staging=$PGDATA/.initialising

main() {
    [[ ${1-postgres} != -* ]] || set -- postgres "$@"
    [[ $1 = postgres ]] || exec "$@"

    if [[ $(id -u) = 0 ]]; then
        install -d -m 700 -o postgres -g postgres "$PGDATA"
        own postgres "$PGDATA" /var/run/postgresql
        become postgres "$0" "$@"
    fi

    from_file POSTGRES_PASSWORD
    from_file POSTGRES_USER postgres
    from_file POSTGRES_DB "$POSTGRES_USER"
    from_file POSTGRES_INITDB_ARGS

    if [[ ! -s $PGDATA/PG_VERSION ]]; then
        if [[ ! -e $staging/ready ]]; then
            # In the background, because bash heeds a signal only between commands; what it leaves half-made is not used.
            initialise "$@" &
            trap 'exit 130' INT TERM
            wait $!
            trap - INT TERM
        fi
        move_into_place
    fi
    unset POSTGRES_PASSWORD
    exec "$@"
}

# Runs in a process of its own, so what it exports is gone after it.
# shellcheck disable=SC2030,SC2031
initialise() {
    local auth=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
    if [[ -z $POSTGRES_PASSWORD && $auth != trust ]]; then
        echo 'the database is not initialised and has no superuser password: set POSTGRES_PASSWORD(_FILE)' >&2
        exit 1
    fi
    rm -rf "$staging"

    local -a options=(--username="$POSTGRES_USER" --encoding=UTF8 --no-instructions)
    [[ -z $POSTGRES_PASSWORD ]] || options+=(--pwfile=/dev/stdin)
    [[ -z ${POSTGRES_INITDB_WALDIR-} ]] || options+=(--waldir="$POSTGRES_INITDB_WALDIR")
    # shellcheck disable=SC2086 # POSTGRES_INITDB_ARGS is a list of words by contract
    printf '%s\n' "$POSTGRES_PASSWORD" | initdb --pgdata="$staging" "${options[@]}" $POSTGRES_INITDB_ARGS
    printf '\nhost all all all %s\n' "$auth" >>"$staging/pg_hba.conf"

    export PGDATA=$staging PGPASSWORD=$POSTGRES_PASSWORD
    start_privately "$@"
    if [[ $POSTGRES_DB != postgres ]]; then
        sql --dbname=postgres --set=name="$POSTGRES_DB" <<<'CREATE DATABASE :"name";'
    fi
    run_initdb_directory
    kill -INT "$server"
    wait "$server"
    touch "$staging/ready"
}

# The server of the initialisation: on its socket alone, so that nobody connects before all is there.
start_privately() {
    "$@" -c listen_addresses= &
    server=$!
    until pg_isready --quiet --username="$POSTGRES_USER" --dbname=postgres; do
        kill -0 "$server" || exit 1
        sleep 0.1
    done
}

sql() {
    psql --no-psqlrc --set=ON_ERROR_STOP=1 --username="$POSTGRES_USER" --no-password --dbname="$POSTGRES_DB" "$@"
}

# shellcheck disable=SC1090 # the scripts are the user's
run_initdb_directory() {
    local script
    for script in "$initdb_directory"/*; do
        [[ -e $script ]] || continue
        echo "initialising with $script"
        case $script in
            *.sh) if [[ -x $script ]]; then "$script"; else source "$script"; fi ;;
            *.sql) sql --file="$script" ;;
            *.sql.gz) gunzip --stdout "$script" | sql ;;
            *.sql.xz) xzcat "$script" | sql ;;
            *.sql.zst) zstd --decompress --stdout "$script" | sql ;;
            *) echo "ignoring $script" ;;
        esac
    done
}

# PG_VERSION goes last: it is what says that PGDATA holds a database.
move_into_place() {
    find "$staging" -mindepth 1 -maxdepth 1 ! -name PG_VERSION ! -name ready -exec mv -t "$PGDATA" {} +
    sync
    mv "$staging/PG_VERSION" "$PGDATA"
    rm -r "$staging"
    chmod 700 "$PGDATA" 2>/dev/null || true
}

main "$@"
