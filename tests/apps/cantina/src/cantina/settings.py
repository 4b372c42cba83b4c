"""Django's settings, from the environment."""

import os

import dj_database_url

SECRET_KEY = os.environ.get("SECRET_KEY", "nothing here is signed")
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "cantina.urls"
INSTALLED_APPS = ["cantina"]
DATABASES = {"default": dj_database_url.parse(os.environ.get("DATABASE_URL", "sqlite://:memory:"))}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True

CELERY_BROKER_URL = os.environ.get("CELERY_BROKER_URL", "memory://")
CELERY_TASK_IGNORE_RESULT = True
