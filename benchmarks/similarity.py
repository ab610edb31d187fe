"""How alike an imagined and a real frame are: structure, edges, and the object's size.

LPIPS needs a network trained on ImageNet, which its packages download when first used, and
multi-scale SSIM needs frames of at least 161 pixels. The perceptual measure here is the gradient
magnitude similarity deviation instead (Xue et al., 2014), which compares edges and needs no weights.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F
from torchmetrics.functional.image import structural_similarity_index_measure

from core.envs.push_disc_render import DISC
from core.envs.push_t_render import BLOCK, BLOCK_INNER

_T = tuple((a + b) // 2 for a, b in zip(BLOCK, BLOCK_INNER, strict=True))
OBJECTS = {"push_disc": (DISC, 60.0, 160.0), "push_t": (_T, 30.0, 65.0)}
"""Task: colour of the object, the distance from it in RGB space up to which a pixel belongs to the
object, and the one from which it does not; between them it does in part, as an edge pixel does."""
Frames = Float[Tensor, "batch 3 height width"]
Scores = Float[Tensor, " batch"]
_LUMA = torch.tensor([0.299, 0.587, 0.114])
_GMSD_C = 170 / 255**2


def ssim(frames: Frames, reference: Frames) -> Scores:
    """Structural similarity (Wang et al., 2004), Gaussian window of 11 pixels, sigma 1.5.

    Frames in [-1, 1]; 1 for equal ones.
    """
    found = structural_similarity_index_measure(
        (frames + 1) / 2, (reference + 1) / 2, data_range=1.0, reduction="none"
    )
    assert isinstance(found, Tensor)
    return found


def gmsd(frames: Frames, reference: Frames) -> Scores:
    """Gradient magnitude similarity deviation; 0 for equal frames in [-1, 1], larger is worse.

    Standard deviation over pixels of (2 g h + c) / (g² + h² + c), g and h being the Prewitt
    gradient magnitudes of the two luminances. Without the paper's halving of the image, which
    is made for photographs of several hundred pixels.
    """
    ours, theirs = _edges(frames), _edges(reference)
    alike = (2 * ours * theirs + _GMSD_C) / (ours**2 + theirs**2 + _GMSD_C)
    return alike.std((-2, -1), correction=0)


def _edges(frames: Frames) -> Float[Tensor, "batch height width"]:
    luma = torch.einsum("bchw,c->bhw", (frames + 1) / 2, _LUMA.to(frames))
    ramp, flat = frames.new_tensor([1.0, 0.0, -1.0]), frames.new_ones(3) / 3
    kernels = torch.stack([flat.outer(ramp), ramp.outer(flat)])[:, None]
    padded = F.pad(luma[:, None], (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, kernels).square().sum(1).sqrt()


def object_size(
    frames: Frames, colour: tuple[int, ...], inner: float, outer: float
) -> tuple[Scores, Scores]:
    """Area in pixels and root-mean-square radius in pixels of what has the object's colour.

    Both stay as they are when a rigid object moves and turns without being covered.
    """
    pixels, centre = (frames + 1) * 127.5, frames.new_tensor(colour)[:, None, None]
    away = (pixels - centre).norm(dim=1)
    weight = ((outer - away) / (outer - inner)).clamp(0, 1)
    area = weight.sum((-2, -1)).clamp(min=1e-6)
    y = torch.arange(frames.shape[-2], device=frames.device, dtype=frames.dtype)[:, None]
    x = torch.arange(frames.shape[-1], device=frames.device, dtype=frames.dtype)
    centre_y, centre_x = ((weight * axis).sum((-2, -1)) / area for axis in (y, x))
    squared = (y - centre_y[:, None, None]) ** 2 + (x - centre_x[:, None, None]) ** 2
    return area, ((weight * squared).sum((-2, -1)) / area).sqrt()
