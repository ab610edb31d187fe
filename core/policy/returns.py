"""Returns of imagined rollouts."""

import torch
from jaxtyping import Float
from torch import Tensor


def lambda_returns(
    rewards: Float[Tensor, "batch horizon"],
    continues: Float[Tensor, "batch horizon"],
    values: Float[Tensor, "batch horizon"],
    gamma: float,
    lam: float,
) -> Float[Tensor, "batch horizon"]:
    """TD(lambda) returns; `values[:, t]` is the value after step t (Sutton & Barto, eq. 12.18).

    R_t = r_t + gamma c_t ((1 - lam) v_t + lam R_{t+1}), and R of the last step bootstraps on v.
    """
    following = values[:, -1]
    returns = []
    for t in reversed(range(rewards.shape[1])):
        blend = (1 - lam) * values[:, t] + lam * following
        following = rewards[:, t] + gamma * continues[:, t] * blend
        returns.append(following)
    return torch.stack(returns[::-1], 1)
