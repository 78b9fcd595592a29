"""Modules of several inputs: exact as a plain loop, predicted as traced, cut where one would, refused in a sentence."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import runtime
import specc
from runtime import Session
from runtime.errors import RunError
from runtime.memory.trace import trace as traced_memory
from runtime.trace.example import like
from specc.diagnostics import SpecError
from specc.estimating import NotAnExample
from specc.graph.graph import INPUT
from specc.memory.prediction import as_traced
from specc.plan import Plan
from specc.tasks.inputs import EXACT, Part

from . import several_inputs
from .conftest import SEED
from .plain_loops import Detach, assert_blocks_are_detached, assert_one_block_is_a_plain_loop, logits
from .several_inputs import CLASSES, CUTS, NAMES, ROWS, batch

SPEC: dict[str, Any] = {
    "data": {"batch_size": 4}, "auxiliary": {"classifier": {"layers": "1c2f", "hidden": 4}},
    "train": {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9}},
}  # fmt: skip
LABELS = torch.arange(4) % CLASSES


def made(name: str) -> nn.Module:
    torch.manual_seed(SEED)
    found: nn.Module = getattr(several_inputs, name)().double()
    return found


def planned(module: nn.Module, name: str, *after: str, **train: Any) -> Plan:
    split = {"after": list(after)} if after else {"blocks": 1}
    backbone = specc.trace(module, batch(name, 2))
    return specc.compile({**SPEC, "split": split, "train": {**SPEC["train"], **train}}, backbone=backbone)


def say(module: nn.Module, given: Any) -> Tensor:
    return logits(module(**given) if isinstance(given, dict) else module(*given))


@pytest.mark.parametrize("name", NAMES)
def test_one_block_is_a_plain_loop_to_the_last_number(name: str) -> None:
    own = made(name)
    plain, session = copy.deepcopy(own), Session(planned(own, name), dtype=torch.float64, module=own)
    batches = [(batch(name, seed=step), LABELS) for step in range(2)]
    assert_one_block_is_a_plain_loop(session, own, plain, batches, say)


@pytest.mark.parametrize("name", NAMES)
def test_blocks_learn_as_in_a_loop_with_detach_at_the_cuts(name: str) -> None:
    own = made(name)
    plain, session = copy.deepcopy(own), Session(planned(own, name, *CUTS[name]), dtype=torch.float64, module=own)

    def cut(detach: Detach) -> None:
        for path, what in CUTS[name].values():
            module = plain.get_submodule(path)
            if what == "result":
                module.register_forward_hook(lambda module, given, result: detach(result))
            else:
                module.register_forward_pre_hook(lambda module, given: (detach(given[0]),))

    assert_blocks_are_detached(session, own, plain, (batch(name), LABELS), cut, say)


@pytest.mark.parametrize("name", NAMES)
def test_the_predicted_memory_is_the_traced_one(name: str) -> None:
    """Parts that no op is a word for are measured with a gradient of all that they read, which at cuts has none."""
    plan = planned(made(name), name)
    assert as_traced(plan).peak_bytes == traced_memory(plan).peak_bytes
    for train in ({"precision": "bf16"}, {"micro_batches": 2}):
        plan = planned(made(name), name, *CUTS[name], **train)
        assert as_traced(plan).peak_bytes == pytest.approx(traced_memory(plan).peak_bytes, rel=2e-2)


def test_what_a_later_block_reads_is_taken_out_of_the_batch_there() -> None:
    """So it crosses no cut, and one value alone does."""
    backbone = specc.trace(made("ImageAndMetadata"), batch("ImageAndMetadata"))
    assert backbone.graph.narrow_cuts == backbone.cuts == ("stem", "body", "known")
    reading = {layer.name: sum(INPUT in node.inputs for node in layer.nodes) for layer in backbone.graph.layers}
    assert reading == {"stem": 1, "body": 0, "known": 2, "head": 0}
    masked = specc.trace(made("IdsAndMask"), batch("IdsAndMask"))
    assert masked.graph.narrow_cuts == ("table", "layers.0", "layers.1", "layers.2")


def test_a_plan_says_what_the_inputs_are_and_is_read_again() -> None:
    plan = planned(made("Keywords"), "Keywords", "first")
    parts = Part("kind", (), "int64"), Part("image", (3, 8, 8)), Part("valid", (8, 8), "bool")
    assert plan.data.parts == parts
    assert (plan.data.shape, plan.data.classes) == ((1 + 192 + 64,), CLASSES)
    assert Plan.from_json(plan.to_json()) == plan
    assert specc.trace(made("Keywords"), like(parts)) == specc.trace(made("Keywords"), batch("Keywords"))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_whole_numbers_are_not_rounded(precision: str) -> None:
    """In bf16 a number beyond 256 would be another one."""

    class Telling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Linear(CLASSES, CLASSES, bias=False)
            self.table = nn.Embedding(ROWS, CLASSES)

        def forward(self, known: Tensor, ids: Tensor) -> Tensor:
            return self.scale(known) * 0.0 + self.table(ids).sum(1)

    module = Telling()
    with torch.no_grad():
        module.table.weight.copy_(torch.arange(ROWS)[:, None].expand(ROWS, CLASSES))
    local = runtime.wrap(module, {**SPEC, "split": {"blocks": 1}, "train": {**SPEC["train"], "precision": precision}},
                         example=((CLASSES,), torch.zeros(1, 1, dtype=torch.int64)))  # fmt: skip
    ids = torch.tensor([[257], [511], [769], [999]])
    told = local.predict((torch.rand(4, CLASSES), ids))
    assert told[:, :1].equal(ids.float())
    with pytest.raises(RunError, match=r"input 1 has whole numbers beyond 16,777,216"):
        local.predict((torch.rand(4, CLASSES), ids + EXACT))
    with pytest.raises(RunError, match="in bfloat16 their whole numbers would be rounded"):
        runtime.wrap(module.bfloat16(), local.plan)


def test_a_wrapped_module_is_told_several_inputs_and_judged_on_a_loader() -> None:
    module = made("Siamese")
    local = runtime.wrap(module, {**SPEC, "split": {"blocks": 2}}, example=((3, 8, 8), (3, 8, 8)))
    assert set(local.training_step(batch("Siamese"), LABELS).losses) == {"unit0.independent", "unit1.independent"}
    batches = [(batch("Siamese", seed=seed), LABELS) for seed in range(3)]
    found = local.evaluate(batches, units=True)
    right = [say(module.eval(), given).argmax(1) == LABELS for given, _ in batches]
    assert found["accuracy"] == pytest.approx(float(torch.cat(right).double().mean()))
    assert "unit0" in " ".join(found)
    with pytest.raises(RunError, match="no batches"):
        local.evaluate(iter(()))


def refused(name: str, given: Any) -> str:
    local = runtime.wrap(made(name), {**SPEC, "split": {"blocks": 1}}, example=batch(name, 2))
    with pytest.raises(RunError) as caught:
        local.training_step(given, LABELS)
    return str(caught.value)


def test_a_batch_of_other_inputs_is_refused_in_words() -> None:
    image, metadata, age = batch("ImageAndMetadata")
    told = "3×8×8 floats, 5 floats, one float"
    said = [refused("ImageAndMetadata", given) for given in (
        (image, metadata), (image, metadata, age[:3]), (image, metadata[:, :4], age), (image, metadata.long(), age),
        (image, metadata, [1.0] * 4), image, {"image": image},
    )]  # fmt: skip
    assert said == [
        f"2 inputs for a network that takes 3: {told}",
        "the inputs of a batch have as many samples each, and not 4, 4, 3",
        "a sample of input 1 is of 4, and was planned to be of 5",
        "input 1 has whole numbers, and was planned to have floats",
        "input 2 is no tensor, but a `list`",
        f"1 input for a network that takes 3: {told}",
        f"input 0 is missing: the network takes {told}",
    ]
    ids, mask = batch("IdsAndMask").values()
    told = "`input_ids` 6 whole numbers, `attention_mask` 6 whole numbers"
    said = [
        refused("IdsAndMask", given) for given in ((ids, mask), {"input_ids": ids}, {**batch("IdsAndMask"), "x": ids})
    ]
    assert said == [
        f"the inputs go by their names, in a mapping: the network takes {told}",
        f"`attention_mask` is missing: the network takes {told}",
        f"`x` is none of the inputs: the network takes {told}",
    ]


def test_a_network_of_one_input_is_not_given_several() -> None:
    local = runtime.wrap(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)), {**SPEC, "split": {"blocks": 1}},
                         example=(3, 2, 2))  # fmt: skip
    with pytest.raises(RunError, match="the batch is a `tuple`, and the network takes one tensor"):
        local.training_step((torch.rand(4, 3, 2, 2), torch.rand(4, 3, 2, 2)), LABELS % 2)


@pytest.mark.parametrize(
    ("example", "said"),
    [
        (torch.zeros(()), "at least two axes"),
        (torch.zeros(0, 3, 8, 8), "at least two axes"),
        (None, "not a `NoneType`"),
        ((), "not a `tuple`"),
        ((3, 0, 8), "no axis of 0"),
        ((torch.zeros(2, 3), torch.zeros(4, 3)), "as many samples each, and not 2, 4"),
        ({"x": torch.zeros(2, 3), "flag": True}, "`flag` is a `bool`, and inputs are tensors"),
        ((torch.zeros(2, 3), None), "input 1 is a `NoneType`"),
        ((torch.zeros(2, 3), (torch.zeros(2, 3), torch.zeros(2, 3))), "input 1 is a `tuple`"),
        ((torch.zeros(2, 3), torch.zeros(())), "input 1 is no batch of numbers: a single one of float32"),
        ({"x": torch.zeros(2, 3, dtype=torch.complex64)}, "`x` is no batch of numbers: 2×3 of complex64"),
        ({"not a name": torch.zeros(2, 3)}, "`not a name` is not the name of an argument"),
    ],
)  # fmt: skip
def test_an_example_that_is_none_is_told_so(example: Any, said: str) -> None:
    with pytest.raises(NotAnExample) as caught:
        specc.trace(made("Siamese"), example)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("example", "said"),
    [
        (((3, 8, 8),), "missing 1 required positional argument: 'right'"),
        ({"left": (3, 8, 8), "wrong": (3, 8, 8)}, "unexpected keyword argument 'wrong'"),
        (((3, 8, 8), (3, 8, 8), (1,)), "takes 3 positional arguments but 4 were given"),
        (((3, 8, 8), torch.zeros(1, 3, 8, 8, dtype=torch.int64)), "Siamese says: "),
    ],
)  # fmt: skip
def test_a_forward_that_does_not_take_the_inputs_says_so(example: Any, said: str) -> None:
    with pytest.raises(specc.graph.ops.ShapeError) as caught:
        specc.trace(made("Siamese"), example)
    assert said in str(caught.value)


def test_data_of_one_input_do_not_go_with_a_network_of_several() -> None:
    backbone = specc.trace(made("Siamese"), batch("Siamese"))
    with pytest.raises(SpecError, match="takes 3×8×8 floats, 3×8×8 floats, and the data set's samples are one input"):
        specc.compile({**SPEC, "data": {"dataset": "digits"}, "split": {"blocks": 1}}, backbone=backbone)


@pytest.mark.parametrize(
    ("parts", "code"),
    [({"auxiliary": {"reconstruction": {"layers": "2c"}}}, "SPC410"), ({"data": {"augment": "paper"}}, "SPC660"),
     ({"data": {"augment": ["horizontal_flip"]}}, "SPC660"), ({"data": {"image_size": 32}}, "SPC602")],
)  # fmt: skip
def test_what_is_about_images_is_refused_at_its_place(parts: dict[str, Any], code: str) -> None:
    backbone = specc.trace(made("Siamese"), batch("Siamese"))
    with pytest.raises(SpecError) as caught:
        specc.compile({**SPEC, "split": {"blocks": 2}, **parts}, backbone=backbone)
    assert [d.code for d in caught.value.diagnostics if d.is_error] == [code]


def test_what_several_inputs_take_is_estimated() -> None:
    name = "IdsAndMask"
    found = specc.estimate(made(name), batch(name, 3), precision="fp32", budget="1 MiB")
    assert (found.plan.batch, found.plan.data.parts[0]) == (3, Part("input_ids", (6,), "int64"))
    assert found.fits
    assert "batches of 3 × (`input_ids` 6 whole numbers, `attention_mask` 6 whole numbers)" in " ".join(
        str(found).split()
    )
    backbone = specc.trace(made(name), batch(name))
    assert specc.estimate(backbone, batch=3, precision="fp32").peak_bytes == found.peak_bytes
