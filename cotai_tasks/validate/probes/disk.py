"""Gives how much room the disk of the engine's images and volumes has: bytes and inodes, free ones and all."""

import json
import os

told = os.statvfs("/")
print(
    json.dumps(
        {
            "bytes": [told.f_bavail * told.f_frsize, told.f_blocks * told.f_frsize],
            "inodes": [told.f_favail, told.f_files],
        }
    )
)
