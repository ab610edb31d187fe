"""Precision follows what a device can do."""

from collections.abc import Iterator, Mapping

import pytest
import torch

from core.devices import bf16, bf16_pays, casts_kept

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    bf16_pays.cache_clear()
    yield
    bf16_pays.cache_clear()


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ({"avx2": True, "avx512_bf16": False, "amx_bf16": False}, False),
        ({"avx512_f": True, "avx512_bf16": False}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({"avx512_bf16": True, "cpu_name": "AMD EPYC"}, True),
        ({"avx512_bf16": True, "cpu_name": "Intel Xeon"}, False),
        ({"avx512_bf16": True, "cpu_name": "12th Gen Intel Core i9"}, False),
        ({"avx512_bf16": True, "amx_bf16": True, "cpu_name": "Intel Xeon"}, True),
        ({"architecture": "aarch64", "bf16": True}, True),
    ],
)
def test_a_processor_computes_in_bfloat16_where_that_is_faster(
    monkeypatch: pytest.MonkeyPatch, able: Mapping[str, bool | str], expected: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    weights, inputs = torch.randn(4, 4), torch.randn(4, 4)
    with casts_kept(CPU, True), bf16(CPU, True):
        product = inputs @ weights
    assert product.dtype == (torch.bfloat16 if expected else torch.float32)


def test_nothing_is_cast_that_was_not_asked_for() -> None:
    with casts_kept(CPU, False), bf16(CPU, False):
        assert (torch.randn(4, 4) @ torch.randn(4, 4)).dtype == torch.float32
