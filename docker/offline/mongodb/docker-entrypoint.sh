#!/bin/sh
# Starts `mongod`, which initialises itself, as the user mongodb.
set -eu
# shellcheck source=../common/from-file.sh
. /usr/local/lib/from-file.sh

case ${1-} in -*) set -- mongod "$@" ;; esac

if [ "$1" = mongod ] && [ "$(id -u)" = 0 ]; then
    own mongodb /data/db /data/configdb
    become mongodb "$0" "$@"
fi

if [ "$1" = mongod ]; then
    from_file MONGO_INITDB_ROOT_USERNAME
    from_file MONGO_INITDB_ROOT_PASSWORD
fi
exec "$@"
