"""What monitoring reads and no file of the repository can hold: where alerts go, and the name that users type."""

from __future__ import annotations

from typing import TYPE_CHECKING

import yaml

from cotai_tasks.volumes import VolumeFile

if TYPE_CHECKING:
    from cotai_tasks.settings import Settings

ALERTMANAGER_USER = 65534
"""Who may read the webhook's URL, which often holds a token."""


def alerting_files(settings: Settings) -> dict[str, dict[str, VolumeFile]]:
    """Give the files that belong beside those of docker/alertmanager and docker/prometheus, by folder at the engine."""
    live = yaml.safe_dump([{"targets": [f"http://backend:8000{settings.variables.APP_LIVE_PATH}"]}])
    return {
        "config/alertmanager": alertmanager_files(settings),
        "config/prometheus": {
            "targets/backend.yml": VolumeFile(live.encode()),
            "targets/nginx.yml": VolumeFile(probe_targets(settings).encode()),
        },
    }


def alertmanager_files(settings: Settings) -> dict[str, VolumeFile]:
    """Give Alertmanager's configuration and the file with the webhook's URL; nothing where there is no webhook.

    What docker/alertmanager/alertmanager.yml says then holds: alerts are shown, and sent nowhere.
    """
    url = settings.variables.ALERT_WEBHOOK_URL
    if not url:
        return {}
    return {
        "alertmanager.yml": VolumeFile((settings.home / "docker/alertmanager/production.yml").read_bytes()),
        "webhook-url": VolumeFile(url.encode(), uid=ALERTMANAGER_USER, mode=0o400),
    }


def probe_targets(settings: Settings) -> str:
    """Give the pages that are asked for through Nginx, under each public name, as a target file of Prometheus."""
    targets = [
        {"targets": [url], "labels": {"__param_module": module, "__param_hostname": name, "server_name": name}}
        for name in settings.server_names
        for module, url in (("https", "https://nginx:8443/health"), ("redirect", "http://nginx:8080/"))
    ]
    return yaml.safe_dump(targets, sort_keys=False)
