"""Sends tasks of Celery's own to the application's workers; runs where the application is, as its Celery app is set up.

SPEC["do"] is one of: trips (SPEC["number"] times there and back: the seconds of each), send (so many that take
SPEC["size"] steps each: their ids), collect (when each of SPEC["ids"] was done, within SPEC["seconds"]). Results go
when they have been read. Gives {"backend": false} where the application keeps no results.
"""

import datetime as dt
import json
import time

from celery.exceptions import TimeoutError as Late
from celery.result import AsyncResult

from cotai_runtime.celery import app

EXPIRES = 300


def send(size):
    """Queue one task that every worker knows: it calls another as often as it has steps."""
    steps = {"task": app.signature("celery.accumulate"), "it": [[1]] * size}
    return app.send_task("celery.starmap", kwargs=steps, ignore_result=False, expires=EXPIRES)


def trip():
    """Go there and back."""
    begun = time.monotonic()
    sent = send(1)
    sent.get(timeout=SPEC["seconds"], interval=0.01)
    seconds = time.monotonic() - begun
    sent.forget()
    return seconds


def trips():
    """Time several; None where one never came back."""
    found = []
    for _ in range(SPEC["number"] + 1):
        try:
            found.append(trip())
        except Late:
            return {"backend": True, "seconds": [*found[1:], None]}
    return {"backend": True, "seconds": found[1:]}  # the first one opens the connections


def collect():
    """Wait for results, and take them away."""
    waiting, end = {one: AsyncResult(one, app=app) for one in SPEC["ids"]}, time.monotonic() + SPEC["seconds"]
    done = {}
    while waiting and time.monotonic() < end:
        for one, result in list(waiting.items()):
            if result.ready():
                done |= {one: moment(result.date_done)} if result.successful() else {}
                result.forget()
                del waiting[one]
        time.sleep(0.1)
    return {"backend": True, "done": done}


def moment(told):
    """Give a time of Celery's, which is that of Greenwich, in seconds since 1970."""
    return told.replace(tzinfo=told.tzinfo or dt.UTC).timestamp()


def begin():
    """Queue several."""
    return {"backend": True, "ids": [send(SPEC["size"]).id for _ in range(SPEC["number"])]}


if "Disabled" in type(app.backend).__name__:
    print(json.dumps({"backend": False}))
else:
    print(json.dumps({"trips": trips, "send": begin, "collect": collect}[SPEC["do"]]()))
