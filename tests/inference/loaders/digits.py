"""A perceptron for scikit-learn's digits, trained within a second, and its signature."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from deployments.inference.mlmodel import Signature, TensorSpec

SIGNATURE = Signature(
    (TensorSpec("image", "float32", (-1, 8, 8)),), (TensorSpec("logits", "float32", (-1, 10)),)
)


def images() -> tuple[np.ndarray, np.ndarray]:
    """All 1,797: float32 [n, 8, 8] in 0..1, and int64 [n]."""
    digits = load_digits()
    return (digits.images / 16).astype(np.float32), digits.target


def perceptron() -> torch.nn.Module:
    """As it comes, untrained: what a `loader.module` builds."""
    return torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
    )


def trained() -> torch.nn.Module:
    """Right in more than nine of ten images, so that its largest logit is no accident."""
    torch.manual_seed(0)
    model = perceptron()
    pixels, labels = (torch.from_numpy(array) for array in images())
    optimiser = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(model(pixels), labels).backward()
        optimiser.step()
    with torch.no_grad():
        assert (model(pixels).argmax(1) == labels).float().mean() > 0.9
    return model.eval()


def logits(model: torch.nn.Module) -> np.ndarray:
    """The framework's own answer for all images."""
    with torch.inference_mode():
        return model(torch.from_numpy(images()[0])).numpy()
