"""The losses, by the name that a plan gives them. Each takes (output, target) and returns a scalar mean.

The mean is taken after the loss, not by it: torch's fused reductions return a scalar in a storage of the full size,
which whoever keeps the loss keeps alive.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial

import torch
import torch.nn.functional as F
from torch import Tensor

from specc.learning.losses import LOSSES
from specc.tasks.segmentation import IGNORED

from ..named import named

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of (N, classes) logits against (N,) labels, or against (N, classes) shares of mixtures.

    Smoothing gives its share to all classes alike.
    """
    x = logits.to(_at_least_fp32(logits))
    if labels.is_floating_point():
        return _of_shares(x, labels, label_smoothing)
    return F.cross_entropy(x, labels, label_smoothing=label_smoothing)


def bce_with_logits(logits: Tensor, labels: Tensor) -> Tensor:
    """Mean binary cross-entropy of (N, classes) logits against multi-hot (N, classes) labels."""
    x = logits.to(_at_least_fp32(logits))
    return F.binary_cross_entropy_with_logits(x, labels.to(x.dtype), reduction="none").mean()


def pixel_cross_entropy(logits: Tensor, masks: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of (N, classes, H, W) logits against (N, H, W) classes, over the pixels that count.

    Zero where none does: torch's own mean is no number then, and a patch may well be of ignored pixels alone.
    """
    count = (masks != IGNORED).sum().clamp(min=1)
    x = logits.to(_at_least_fp32(logits))
    whole = F.cross_entropy(x, masks, ignore_index=IGNORED, reduction="sum", label_smoothing=label_smoothing)
    return whole / count


def contrastive(features: Tensor, labels: Tensor, temperature: float = 0.07) -> Tensor:
    """Supervised contrastive loss of (N, D) features, one view (Khosla et al. 2020, 2004.11362, equation 2).

    Self-pairs are left out; a sample without positives contributes zero but counts in the mean, as in InfoPro's code.
    """
    z = F.normalize(features.to(_at_least_fp32(features)), dim=1)
    similarity = z @ z.T / temperature
    similarity = similarity - similarity.max(1, keepdim=True).values.detach()
    others = ~torch.eye(len(z), dtype=torch.bool, device=z.device)
    log_prob = similarity - (similarity.exp() * others).sum(1, keepdim=True).log()
    positives = (labels[:, None] == labels[None, :]) & others
    return -((log_prob * positives).sum(1) / positives.sum(1).clamp(min=1)).mean()


def bce(image: Tensor, target: Tensor) -> Tensor:
    """Mean binary cross-entropy of a restored image in (0, 1)."""
    return F.binary_cross_entropy(image.to(target.dtype), target, reduction="none").mean()


def mse(image: Tensor, target: Tensor) -> Tensor:
    """Mean squared error of a restored image."""
    return F.mse_loss(image.to(target.dtype), target, reduction="none").mean()


def similarity(features: Tensor, one_hot: Tensor) -> Tensor:
    """Mean squared difference of the samples' and the labels' similarity matrices (1901.06656, equation 2).

    (N, C, H, W) features enter as each channel's standard deviation over the image, those of volumes likewise; (N, D)
    ones, and maps of one pixel, as they are.
    """
    x = features.to(_at_least_fp32(features))
    rows = x.flatten(2).std(2) if x.dim() > 3 and x[0, 0].numel() > 1 else x.flatten(1)
    return F.mse_loss(_cosines(rows), _cosines(one_hot), reduction="none").mean()


def goodness(activity: Tensor, labels: Tensor) -> Tensor:
    """The right class's goodness against the soft maximum of all (2501.03176): cross-entropy of the goodness."""
    return cross_entropy(goodness_of_classes(activity), labels)


def goodness_of_classes(activity: Tensor) -> Tensor:
    """(N, classes): the mean square of each class's channel, of (N, classes, H, W), tokens (N, T, classes), vectors."""
    squares = activity.to(_at_least_fp32(activity)).square()
    if activity.dim() > 2:
        squares = squares.mean(tuple(range(2, activity.dim())) if activity.dim() > 3 else 1)
    return squares


def goodness_pairs(activity: Tensor, labels: Tensor) -> Tensor:
    """softplus(wrong - right) of the mean squares of (2N, D) activities: first of right labels, then of wrong ones.

    The difference within a pair needs no threshold (Lee & Song, SymBa, 2303.08418, without its factor).
    """
    right, wrong = activity.to(_at_least_fp32(activity)).square().mean(1).view(2, len(labels))
    return F.softplus(wrong - right).mean()


def _of_shares(logits: Tensor, shares: Tensor, label_smoothing: float) -> Tensor:
    """Cross-entropy against shares of the classes; a dot product makes no product of the full size."""
    logarithms = F.log_softmax(logits, 1)
    mean = torch.dot(logarithms.flatten(), shares.to(logits.dtype).flatten()) / len(logits)
    if label_smoothing:
        mean = (1 - label_smoothing) * mean + label_smoothing * logarithms.mean()
    return -mean


def _cosines(x: Tensor) -> Tensor:
    """Cosine similarity of all pairs of centred rows."""
    centred = x - x.mean(1, keepdim=True)
    rows = centred / (1e-8 + centred.norm(dim=1, keepdim=True))
    products: Tensor = rows @ rows.T
    return products.clamp(-1, 1)


def _at_least_fp32(x: Tensor) -> torch.dtype:
    return torch.promote_types(x.dtype, torch.float32)


@cache
def answer_function(name: str) -> Callable[[Tensor], Tensor]:
    """What makes of a head's output what the network itself would give, by the name of the head's loss."""
    where = LOSSES[name].answers
    found: Callable[[Tensor], Tensor] = named(where, f"the answers of the loss `{name}`") if where else _as_it_is
    return found


def _as_it_is(output: Tensor) -> Tensor:
    return output


@cache
def loss_function(name: str, smoothing: float = 0.0) -> Loss:
    """The function that a loss names, with its labels smoothed or not."""
    found: Callable[..., Tensor] = named(LOSSES[name].function, f"the loss `{name}`")
    return partial(found, label_smoothing=smoothing) if smoothing else found
