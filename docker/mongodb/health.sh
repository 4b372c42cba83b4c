#!/bin/sh
# Healthy is a primary that can be written to. On an empty volume the first question also starts the replica set.
set -eu
if command -v mongodb-health >/dev/null; then
    exec mongodb-health  # the image for evaluation brings its own
fi
exec mongosh --quiet --norc "mongodb://127.0.0.1/admin?directConnection=true&serverSelectionTimeoutMS=4000" \
    --file /etc/cotai/health.js
