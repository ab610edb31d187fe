"""One gradient step."""

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer


class NonFiniteGradient(ValueError):
    """Training met a gradient that is not a number, and stopped before the step."""


def descend(loss: Tensor, optimizer: Optimizer, max_grad_norm: float) -> float:
    """Clip and step; the norm before clipping. Raises `NonFiniteGradient` and leaves weights alone."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    norm = clip_grad_norm_(parameters, max_grad_norm)
    if not torch.isfinite(norm):
        raise NonFiniteGradient(
            f"gradient norm is {norm.item()} at loss {loss.item():.4g}: lower the learning rate"
        )
    optimizer.step()
    return float(norm)
