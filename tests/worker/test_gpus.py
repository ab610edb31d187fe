"""What the driver's program tells of GPUs."""

from pathlib import Path

import pytest

from worker.gpus import parse, read_gpus

TOLD = "0, NVIDIA H100 80GB HBM3, 1024, 81559, 37\n1, NVIDIA, Inc. odd\n2, GB10, [N/A], [N/A], 5\n"


def test_lines_of_the_driver_become_bytes_and_shares() -> None:
    first, second = parse(TOLD)
    assert (first.index, first.name, first.use) == (0, "NVIDIA H100 80GB HBM3", 0.37)
    assert (first.memory_used, first.memory_total) == (1 << 30, 81559 << 20)
    assert (second.index, second.memory_total, second.use) == (2, 0, 0.05)


@pytest.mark.parametrize("script", [None, "exit 9", "echo Failed to initialize NVML"])
def test_machine_without_a_working_driver_has_no_gpus(
    script: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if script is not None:
        program = tmp_path / "nvidia-smi"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin" if script else str(tmp_path))
    assert read_gpus() == []
