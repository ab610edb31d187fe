"""The compose files as they stand, without a container engine."""

import os
import re
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
STACK: dict[str, Any] = yaml.safe_load(COMPOSE)
GPU: dict[str, Any] = yaml.safe_load((ROOT / "compose.gpu.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
STORES = {"postgres", "redis"}
ONE_SHOT = {"migrate"}

every_service = pytest.mark.parametrize("name", sorted(SERVICES))


def test_all_parts_of_the_service_are_there() -> None:
    programs = {"api", "dashboard", "migrate", "simulator", "worker-cpu", "worker-gpu"}
    assert set(SERVICES) == STORES | programs


@every_service
def test_service_has_no_privileges(name: str) -> None:
    service = SERVICES[name]
    user, _, group = service["user"].partition(":")
    assert int(user) > 0
    assert int(group) > 0
    assert service["read_only"] is True
    assert service["init"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert not {"privileged", "cap_add", "network_mode", "pid", "ipc", "devices"} & set(service)


@every_service
def test_service_writes_to_volumes_and_memory_only(name: str) -> None:
    service = SERVICES[name]
    assert {v.split(":")[0] for v in service.get("volumes", ())} <= set(STACK["volumes"])
    assert any(entry.split(":")[0] == "/tmp" for entry in service["tmpfs"])


@every_service
def test_service_says_whether_it_is_well(name: str) -> None:
    service = SERVICES[name]
    if name in ONE_SHOT:
        assert service["restart"] == "no"
        assert "healthcheck" not in service
    else:
        assert service["restart"] == "unless-stopped"
        assert service["healthcheck"]["test"][0] in ("CMD", "CMD-SHELL")


@every_service
def test_ports_are_published_on_this_machine_only(name: str) -> None:
    ports = SERVICES[name].get("ports", [])
    assert bool(ports) == (name in {"api", "dashboard"})
    assert all(port.startswith("127.0.0.1:${FOGLAB_") for port in ports)


def test_stores_and_workers_have_no_way_out() -> None:
    inner = {n for n, network in STACK["networks"].items() if network.get("internal")}
    for name in STORES | ONE_SHOT | {"simulator", "worker-cpu", "worker-gpu"}:
        assert set(SERVICES[name]["networks"]) <= inner
    assert SERVICES["dashboard"]["networks"] == ["front"]


def test_no_password_stands_anywhere_and_none_is_supposed() -> None:
    for secret in STACK["secrets"].values():
        assert re.match(r"\$\{FOGLAB_SECRETS:\?[^}]*make secrets[^}]*\}/\w+$", secret["file"])
    for service in SERVICES.values():
        for variable, value in service.get("environment", {}).items():
            if "PASSWORD" in variable:
                assert variable.endswith("_FILE")
                assert value.removeprefix("/run/secrets/") in service["secrets"]
            assert not re.search(r"://[^/\s]*:[^/\s]*@", str(value))
    defaults = re.findall(r"\$\{(\w+):-", COMPOSE)
    assert not [variable for variable in defaults if "PASS" in variable or "SECRET" in variable]
    assert "trust" not in COMPOSE


def test_each_service_sees_only_the_secrets_it_needs() -> None:
    seen = {name: set(service.get("secrets", ())) for name, service in SERVICES.items()}
    database, both = {"postgres_password"}, {"postgres_password", "redis_password"}
    assert seen == {
        "postgres": database,
        "redis": {"redis_password"},
        "migrate": database,
        "api": database,
        "worker-cpu": both,
        "worker-gpu": both,
        "dashboard": set(),
        "simulator": set(),
    }


def test_redis_asks_for_a_password_and_forgets_nothing() -> None:
    command = SERVICES["redis"]["command"][-1]
    assert "requirepass $$(cat /run/secrets/redis_password)" in command
    assert "--appendonly yes" in command
    assert "--maxmemory-policy noeviction" in command
    assert "--requirepass" not in command  # it would be in the process list


def test_programs_start_after_the_migration() -> None:
    for name in ("api", "simulator", "worker-cpu", "worker-gpu"):
        needed = SERVICES[name]["depends_on"]["migrate"]
        assert needed == {"condition": "service_completed_successfully"}


def test_files_are_shared_by_the_api_and_the_workers() -> None:
    sharing = {n for n, s in SERVICES.items() if "foglab-data:/data" in s.get("volumes", ())}
    assert sharing == {"api", "simulator", "worker-cpu", "worker-gpu"}


def test_gpu_is_asked_for_in_the_override_only() -> None:
    assert "nvidia" not in COMPOSE
    assert set(GPU["services"]) == {"worker-gpu"}
    worker = GPU["services"]["worker-gpu"]
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["capabilities"]) == ("nvidia", ["gpu"])
    assert worker["build"]["args"]["TORCH"] == "cuda"
    assert worker["image"] != SERVICES["worker-gpu"]["image"]


def make_secrets(folder: Path) -> str:
    (folder / "deploy").mkdir(exist_ok=True)
    script = folder / "deploy" / "make_secrets.sh"
    script.write_bytes((ROOT / "deploy" / "make_secrets.sh").read_bytes())
    environ = {k: v for k, v in os.environ.items() if k != "FOGLAB_SECRETS"}
    done = subprocess.run(["sh", script], check=True, capture_output=True, text=True, env=environ)
    return done.stdout


def test_passwords_are_random_private_and_never_replaced(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("FOGLAB_API_PORT=8010\n")
    said = make_secrets(tmp_path)
    secrets = tmp_path / "secrets"
    files = {secrets / name for name in ("postgres_password", "redis_password")}
    assert set(secrets.iterdir()) == files
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o444}
    first = {file: file.read_text() for file in files}
    assert all(re.fullmatch(r"[0-9a-f]{64}", password) for password in first.values())
    assert len(set(first.values())) == len(first)
    assert not [password for password in first.values() if password in said]

    make_secrets(tmp_path)
    assert {file: file.read_text() for file in files} == first
    assert (tmp_path / ".env").read_text() == "FOGLAB_API_PORT=8010\nFOGLAB_SECRETS=./secrets\n"


def test_secrets_are_kept_out_of_the_repository() -> None:
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"secrets/", ".env", "wheels/"} <= set(ignored)
