"""What our images add to an application: heartbeats for Celery, a health check, Gunicorn's settings, a build check."""
