"""What is rendered for monitoring: the probes of the stack's own names, and where alerts go."""

from __future__ import annotations

import yaml

from cotai_tasks.deploy.alerting import alerting_files
from cotai_tasks.volumes import VolumeFile
from tests.unit.deploy.stacks import settings

NAME, OTHER = "cotai.example.org", "www.cotai.example.org"


def test_every_public_name_is_probed_on_both_ports() -> None:
    """Host and TLS server name are the name that users type; the address is Nginx's own."""
    files = alerting_files(settings(SERVER_NAME=f"{NAME} {OTHER}"))["config/prometheus"]
    assert yaml.safe_load(files["targets/nginx.yml"].content) == [
        {"targets": [url], "labels": {"__param_module": module, "__param_hostname": name, "server_name": name}}
        for name in (NAME, OTHER)
        for module, url in (("https", "https://nginx:8443/health"), ("redirect", "http://nginx:8080/"))
    ]


def test_the_application_is_probed_at_its_own_page() -> None:
    """Another team's application answers elsewhere than the reference application does."""
    files = alerting_files(settings(SERVER_NAME=NAME, APP_LIVE_PATH="/kitchen/open"))["config/prometheus"]
    assert yaml.safe_load(files["targets/backend.yml"].content) == [{"targets": ["http://backend:8000/kitchen/open"]}]


def test_the_webhook_is_read_by_alertmanager_alone() -> None:
    """The URL stands in a file of its own, and not in the configuration, which the status page shows."""
    url = "https://hooks.example.org/T0/token"
    files = alerting_files(settings(SERVER_NAME=NAME, ALERT_WEBHOOK_URL=url))["config/alertmanager"]
    assert files["webhook-url"] == VolumeFile(url.encode(), uid=65534, mode=0o400)
    configuration = yaml.safe_load(files["alertmanager.yml"].content)
    [receiver] = configuration["receivers"]
    assert configuration["route"]["receiver"] == receiver["name"]
    assert [one["url_file"] for one in receiver["webhook_configs"]] == ["/etc/alertmanager/webhook-url"]


def test_without_a_webhook_the_plain_configuration_stays() -> None:
    """Nothing is laid over docker/alertmanager: alerts are shown, and sent nowhere."""
    assert alerting_files(settings(SERVER_NAME=NAME))["config/alertmanager"] == {}
