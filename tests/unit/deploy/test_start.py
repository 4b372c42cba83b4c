"""The decisions of a start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cotai_tasks.deploy.start import Address, addresses, changed_services, closed_files, foreign_volumes, login
from cotai_tasks.errors import Finding
from cotai_tasks.testing import container
from tests.unit.deploy.stacks import service, stack

if TYPE_CHECKING:
    from pathlib import Path


def test_only_new_or_restarted_containers_count_as_changed() -> None:
    """A second run on an unchanged stack has nothing to report."""
    before = [container("api"), container("db")]
    after = [container("api"), container("db", started_at="2026-01-02T00:00:00Z"), container("web")]
    assert changed_services(before, before) == ()
    assert changed_services(before, after) == ("db", "web")


def test_a_one_shot_that_ran_again_changed_nothing() -> None:
    """Compose runs an exited migration at every start; only one in a new container has news."""
    before = [container("migrate", state="exited")]
    again = [container("migrate", state="exited", started_at="2026-01-02T00:00:00Z")]
    assert changed_services(before, again, {"migrate"}) == ()
    assert changed_services(before, [container("migrate", id="new")], {"migrate"}) == ("migrate",)


def test_a_volume_of_another_server_is_refused() -> None:
    """PostgreSQL 17 is never started on what PostgreSQL 16 left, nor MongoDB on its surrogate's files."""
    one = stack(
        service("db", volumes=frozenset({"cotai-dev_db", "cotai-dev_new"})),
        formats={"cotai-dev_db": "postgresql-17", "cotai-dev_new": "postgresql-17"},
    )
    assert foreign_volumes(one, ["db"], {"cotai-dev_db": {"cotai.format": "postgresql-17"}}) == []
    assert foreign_volumes(one, ["db"], {"cotai-dev_db": {"cotai.format": "postgresql-16"}}) == [
        Finding(
            "volume cotai-dev_db",
            "holds postgresql-16 data, and this stack runs postgresql-17",
            "Save what you need of it, then: docker volume rm cotai-dev_db",
        )
    ]


def test_addresses_come_with_the_login_of_the_env_file() -> None:
    """Only services with an address are listed."""
    one = stack(service("admin", url="http://127.0.0.1:8080/", login="ADMIN", description="tables"), service("worker"))
    variables = {"ADMIN_USER": "admin", "ADMIN_PASSWORD": "pw"}
    assert addresses(one, ["admin", "worker"], variables) == (
        Address("admin", "http://127.0.0.1:8080/", "admin / pw", "tables"),
    )


def test_a_login_is_what_the_variables_hold_of_it() -> None:
    """Redis has a password and no user, S3 two keys; a service without a login has none."""
    variables = {"REDIS_PASSWORD": "r", "S3_ACCESS_KEY": "a", "S3_SECRET_KEY": "s", "_PASSWORD": "never"}
    assert [login(prefix, variables) for prefix in ("REDIS", "S3", "")] == ["r", "a / s", ""]


def test_a_file_that_only_its_owner_may_read_is_found(tmp_path: Path) -> None:
    """A checkout under umask 077 would end in `Permission denied` inside containers."""
    (tmp_path / ".git").mkdir(mode=0o700)
    open_file, closed_file = tmp_path / "a.conf", tmp_path / "b.conf"
    for path, mode in ((open_file, 0o644), (closed_file, 0o600)):
        path.touch()
        path.chmod(mode)
    tmp_path.chmod(0o755)
    assert closed_files([tmp_path]) == [
        Finding(str(closed_file), "containers run as other users, who may not read it", f"chmod -R o+rX {tmp_path}")
    ]
    closed_file.chmod(0o644)
    assert closed_files([tmp_path]) == []
