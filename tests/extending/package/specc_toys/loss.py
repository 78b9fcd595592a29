"""A loss: what it compares with, and what memory it takes."""

from specc.extending import Loss, LossMemory, LossSizes


def memory(sizes: LossSizes) -> LossMemory:
    """Logarithms of probabilities stay; the backward makes their gradient of two parts."""
    return LossMemory(keeps_output=False, kept=(sizes.full,), backward=((2 * sizes.full + 4 * sizes.rows, 1),))


SMOOTHED = Loss("smoothed", "labels", memory, torch="specc_toys.loss_torch:smoothed", answers="")
