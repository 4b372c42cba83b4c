"""Flower: the broker that it watches, and its own settings. Celery imports the one, Flower reads the others.

CELERY_BROKER_URL, ADMIN_USER and ADMIN_PASSWORD come from the environment; each may come as NAME_FILE instead.
"""

import os
from pathlib import Path

from celery import Celery


def variable(name: str) -> str:
    """Give a variable, or the contents of the file that NAME_FILE names."""
    path = os.environ.get(f"{name}_FILE")
    return Path(path).read_text().strip() if path else os.environ[name]


app = Celery(broker=variable("CELERY_BROKER_URL"))

address = "0.0.0.0"  # noqa: S104 - a container's network decides who gets in
port = 5555
basic_auth = [f"{variable('ADMIN_USER')}:{variable('ADMIN_PASSWORD')}"]
url_prefix = os.environ.get("FLOWER_URL_PREFIX", "")
