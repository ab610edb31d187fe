"""Models that baselines run on, small and untrained."""

import pytest
import torch

from core.data.dataset import Dataset
from core.global_model.model import GlobalConfig, GlobalModel
from tests.training.makers import bar_dataset


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return bar_dataset(tmp_path_factory.mktemp("bar") / "v1")


@pytest.fixture(scope="session")
def model() -> GlobalModel:
    """In float32, and without an end head that ends at random."""
    torch.manual_seed(0)
    model = GlobalModel(GlobalConfig(16, 1, 2, 4, (32, 32), 1, 10.0, 1, bf16=False)).eval()
    with torch.no_grad():
        model.reward.head[-1].bias[1] = -20.0
    return model
