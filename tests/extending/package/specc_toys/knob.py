"""A knob: what a search for a budget may turn, how, and what that costs."""

from specc.extending import Knob, SpecModel

from .head import Bottleneck


def narrower(config: SpecModel) -> SpecModel | None:
    head = config.auxiliary.heads().get("bottleneck")
    if not isinstance(head, Bottleneck) or head.channels == 1:
        return None
    return config.changed("auxiliary", bottleneck=head.model_copy(update={"channels": head.channels // 2}))


CHANNELS = Knob("channels", "auxiliary.bottleneck.channels", "bottlenecks half as wide", "weaker heads", 40, narrower)
