#!/bin/sh
# SeaweedFS as one process with an S3 endpoint that asks for keys.
set -eu
umask 077
cat >/tmp/s3.json <<JSON
{"identities": [{
  "name": "cotai",
  "credentials": [{"accessKey": "${S3_ACCESS_KEY:?}", "secretKey": "${S3_SECRET_KEY:?}"}],
  "actions": ["Admin", "Read", "List", "Tagging", "Write"]
}]}
JSON
exec weed -logtostderr=true server -dir=/data -ip=127.0.0.1 -ip.bind=0.0.0.0 \
    -master.electionTimeout=1s -master.telemetry=false -master.volumeSizeLimitMB=128 -volume.max=400 \
    -volume.preStopSeconds=1 -filer -s3 -s3.config=/tmp/s3.json -s3.port.iceberg=0 -s3.port.lance=0 \
    -master.port.grpc=19333 -volume.port.grpc=18080 -filer.port.grpc=18888 -s3.port.grpc=18333
