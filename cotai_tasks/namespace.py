"""Which tasks there are."""

from __future__ import annotations

from invoke.collection import Collection

from cotai_tasks import doctor
from cotai_tasks.backup import tasks as backup
from cotai_tasks.build import tasks as build
from cotai_tasks.db import tasks as db
from cotai_tasks.deploy import tasks as deploy
from cotai_tasks.monitor import tasks as monitor
from cotai_tasks.security import tasks as security
from cotai_tasks.suggest import suggest_names
from cotai_tasks.task import DEFAULTS
from cotai_tasks.validate import tasks as validate

ns = Collection()
ns.add_collection(Collection.from_module(build, name="build"))
ns.add_collection(Collection.from_module(deploy, name="deploy"))
ns.add_collection(Collection.from_module(db, name="db"))
ns.add_collection(Collection.from_module(backup, name="backup"))
ns.add_collection(Collection.from_module(security, name="security"))
eyes = Collection.from_module(monitor, name="monitor")
eyes.add_task(validate.validate)
eyes.add_task(validate.checks)
ns.add_collection(eyes)
ns.add_task(doctor.doctor)
ns.configure({"cotai": DEFAULTS})
suggest_names(ns)
