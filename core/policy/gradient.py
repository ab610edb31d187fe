"""The line that the method rests on."""

from torch import Tensor


def swap_gradient(observed: Tensor, predicted: Tensor) -> Tensor:
    """Value of `observed`, bit for bit; gradient of `predicted` (paper, algorithm 1, last lines)."""
    return observed.detach() + (predicted - predicted.detach())
