"""The global model as the rest of the system sees it."""

from pathlib import Path

import torch

from core.global_model.model import GlobalConfig, GlobalModel, quantise, to_float, to_uint8

CONFIG = GlobalConfig(
    image_size=16,
    action_dim=2,
    context=2,
    patch=4,
    channels=(32, 32),
    layers_per_block=1,
    sigma_max=10.0,
    num_denoising_steps=2,
)


def model() -> GlobalModel:
    torch.manual_seed(0)
    return GlobalModel(CONFIG).eval()


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def test_frames_survive_the_way_to_floats_and_back() -> None:
    frames = torch.arange(256, dtype=torch.uint8).reshape(1, 8, 8, 4)[..., :3].contiguous()
    assert torch.equal(to_uint8(to_float(frames)), frames)
    assert torch.equal(quantise(to_float(frames)), to_float(frames))


def test_difference_and_frame_are_inverse() -> None:
    denoiser = model().denoiser
    denoiser.diff_std.fill_(0.06)
    last, following = torch.rand(2, 2, 3, 16, 16).unbind()
    back = denoiser.to_frame(denoiser.to_difference(following, last), last)
    torch.testing.assert_close(back, following, atol=1e-5, rtol=0)


def test_a_step_depends_on_seed_and_action_and_nothing_hidden() -> None:
    m = model()
    frames, actions = torch.rand(3, 2, 3, 16, 16), torch.rand(3, 2, 2)
    first = m.step(frames, actions, generator())
    again = m.step(frames, actions, generator())
    other = m.step(frames, actions + 0.5, generator())
    assert torch.equal(first.frame, again.frame)
    assert torch.equal(first.reward, again.reward)
    assert not torch.equal(first.frame, other.frame)


def test_imagined_frames_are_what_a_camera_could_store() -> None:
    step = model().step(torch.rand(3, 2, 3, 16, 16), torch.rand(3, 2, 2), generator())
    assert step.frame.abs().max() <= 1
    torch.testing.assert_close(quantise(step.frame), step.frame)


def test_saved_model_imagines_the_same(tmp_path: Path) -> None:
    m = model()
    m.save(tmp_path)
    frames, actions = torch.rand(2, 2, 3, 16, 16), torch.rand(2, 2, 2)
    loaded = GlobalModel.load(tmp_path)
    assert torch.equal(
        m.step(frames, actions, generator()).frame, loaded.step(frames, actions, generator()).frame
    )
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
