"""The swap: value observed, gradient predicted."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from core.policy.gradient import swap_gradient

values = st.floats(-1e6, 1e6, width=32)


@given(st.lists(values, min_size=1, max_size=8), values)
def test_value_is_the_observed_one_bit_for_bit(observed: list[float], offset: float) -> None:
    seen = torch.tensor(observed)
    predicted = (seen + offset).requires_grad_()
    assert torch.equal(swap_gradient(seen, predicted), seen)


def test_gradient_is_the_predicted_ones_and_none_reaches_the_observed() -> None:
    action = torch.tensor([0.3], requires_grad=True)
    observed = (action * 100).square()
    predicted = action.sin()
    swapped = swap_gradient(observed, predicted)
    assert swapped.item() == observed.item()
    expected = torch.autograd.grad(predicted.sum(), action, retain_graph=True)
    assert torch.autograd.grad(swapped.sum(), action) == expected


def test_jacobian_is_taken_at_the_observed_state() -> None:
    """Two steps: the second step's derivative is evaluated where the global model went."""
    action = torch.tensor(0.5, requires_grad=True)
    first = swap_gradient(torch.tensor(3.0), action * 2)
    second = first**2  # local model of the second step
    assert torch.autograd.grad(second, action)[0].item() == 2 * 3.0 * 2
