#!/bin/sh
# Runs once, on an empty volume.
sh /etc/cotai/roles.sh
