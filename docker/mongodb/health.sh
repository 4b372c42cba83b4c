#!/bin/sh
# Healthy is a primary that can be written to. On an empty volume the first question also starts the replica set, and after
# each start it brings the users up to date.
set -eu
if command -v mongodb-health >/dev/null; then
    exec mongodb-health  # the image for evaluation brings its own
fi
options='directConnection=true&serverSelectionTimeoutMS=4000'
if [ -e /run/secrets/tls.pem ]; then
    options="$options&tls=true&tlsCAFile=/run/secrets/ca.pem"
fi
exec mongosh --quiet --norc "mongodb://127.0.0.1/admin?$options" --file /etc/cotai/health.js
