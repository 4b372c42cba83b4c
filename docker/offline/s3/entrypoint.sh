#!/bin/sh
# Starts SeaweedFS with the options that one machine of it wants; whatever is given on the command line comes after them
# and wins. AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (each also as NAME_FILE) are the admin's key for S3.
set -eu
# shellcheck source=../common/from-file.sh
. /usr/local/lib/from-file.sh

if [ "$(id -u)" = 0 ]; then
    own seaweed /data
    become seaweed "$0" "$@"
fi

from_file AWS_ACCESS_KEY_ID
from_file AWS_SECRET_ACCESS_KEY

case ${1-} in
    server)
        shift
        # -ip: containers swap addresses over a restart, so the volume must not remember one; the name stays.
        # gRPC ports: SeaweedFS adds 10000 to the port, which for S3 and the filer lands where clients' ports come from.
        set -- server -dir=/data -ip=localhost -ip.bind=0.0.0.0 -volume.max=0 -master.volumeSizeLimitMB=1024 \
            -master.electionTimeout=1s -master.telemetry=false -volume.preStopSeconds=1 \
            -s3.port.iceberg=0 -s3.port.lance=0 "$@"
        ;;
    weed) shift ;;
esac
exec weed "$@"
