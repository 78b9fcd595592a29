"""What a traced network's own `state_dict` calls the tensors of its graph."""

from __future__ import annotations

from ..node import Node
from ..ops import ClassToken, LayerScale, Opaque, PositionEmbedding

BARE = (ClassToken, LayerScale, PositionEmbedding)  # ops whose one tensor is an attribute of a module


def own_name(node: Node, tensor: str) -> str:
    """The name of a tensor of a node."""
    if isinstance(node.op, Opaque):
        return f"{node.op.part.root}.{tensor}".lstrip(".")
    return node.name if isinstance(node.op, BARE) else f"{node.name}.{tensor}"
