"""Every optimizer of torch that can train a network by its gradients: its arguments, its memory, its numbers."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor

from runtime import Session
from runtime.engine.lamb import Lamb
from runtime.memory.trace import trace, watch
from specc.memory.prediction import as_traced, resident
from specc.plan import Plan
from specc.spec.load import parse_spec
from specc.spec.sections.optimizers import IMPOSSIBLE, OPTIMIZERS

from .documents import Document, compiled
from .test_runtime import batches

LEFT_OUT = {  # of torch's arguments
    "params", "lr",
    "foreach", "fused",  # specc's choice, by what they take of memory
    "capturable", "differentiable",  # for graphs of CUDA and for gradients of steps, of which there are none
    "maximize",  # a loss is a thing to minimise
}  # fmt: skip
OF_THE_FIELD = {"sgd": {"momentum", "nesterov", "weight_decay"}}  # where our default is not torch's
OTHERWISE: list[Document] = [
    {"name": "sgd", "momentum": 0.0, "nesterov": False},
    {"name": "sgd", "nesterov": False, "dampening": 0.5},
    {"name": "adam", "amsgrad": True, "weight_decay": 0.1},
    {"name": "adamw", "amsgrad": True},
    {"name": "adagrad", "weight_decay": 0.1, "lr_decay": 0.1, "initial_accumulator_value": 0.5},
    {"name": "adadelta", "weight_decay": 0.1},
    {"name": "adamax", "weight_decay": 0.1},
    {"name": "nadam", "weight_decay": 0.1},
    {"name": "nadam", "weight_decay": 0.1, "decoupled_weight_decay": True},
    {"name": "radam", "weight_decay": 0.1},
    {"name": "radam", "weight_decay": 0.1, "decoupled_weight_decay": True},
    {"name": "rmsprop", "weight_decay": 0.1, "momentum": 0.9},
    {"name": "rmsprop", "momentum": 0.9, "centered": True},
    {"name": "rprop", "etas": [0.4, 1.3], "step_sizes": [1e-5, 1.0]},
    {"name": "asgd", "weight_decay": 0.1, "t0": 1.0},
    {"name": "adafactor", "weight_decay": 0.1, "eps": [1e-6, 1e-2], "beta2_decay": -0.5, "d": 2.0},
    {"name": "lamb", "weight_decay": 0.0, "betas": [0.8, 0.9]},
    {"name": "radam", "weight_decay": 0.1, "weight_decay_exclude": ["norms", "biases"]},
    {"name": "adagrad", "weight_decay": 0.1, "weight_decay_exclude": ["biases"]},
]
ALL: list[Document] = [*({"name": name} for name in OPTIMIZERS.own), *OTHERWISE]


def torch_class(name: str) -> type[torch.optim.Optimizer]:
    module, _, found = OPTIMIZERS[name].torch.partition(":")
    assert module in ("torch.optim", "runtime.engine.lamb")
    return Lamb if found == "Lamb" else getattr(torch.optim, found)


def small(train: Document) -> Plan:
    """Two blocks of a few tensors, whose sizes go up and down."""
    ops = [("first", "conv"), ("second", "conv"), ("norm", "batch_norm"), ("act", "relu"), ("pool", "global_avg_pool")]
    layers: list[Document] = [{"name": name, "op": op} for name, op in ops]
    layers[0] |= {"out": 4, "k": 3, "bias": True}
    layers[1] |= {"out": 9, "k": 1, "bias": True}
    layers += [{"name": "hidden", "op": "linear", "out": 5}, {"name": "head", "op": "linear", "out": 4}]
    heads: Document = {"classifier": {"layers": "0c2f", "hidden": 7}}
    return compiled(backbone={"layers": layers}, split={"after": ["act"]}, auxiliary=heads, train=train)


def show(value: Document) -> str:
    return " ".join(map(str, value.values()))


def test_every_optimizer_of_torch_is_there_or_refused_with_a_reason() -> None:
    theirs = {c.__name__.lower() for c in vars(torch.optim).values() if inspect.isclass(c)} - {"optimizer"}
    assert theirs == ({*OPTIMIZERS.own} - {"lamb"}) | {*IMPOSSIBLE}


@pytest.mark.parametrize("name", OPTIMIZERS.own)
def test_arguments_and_defaults_are_those_of_torch(name: str) -> None:
    theirs = dict(inspect.signature(torch_class(name)).parameters)
    config = OPTIMIZERS[name](name=name)
    ours = config.model_dump(exclude={"name", "weight_decay_exclude"})
    implied = {"decoupled_weight_decay"} if name == "adam" else set()  # that is `adamw`
    assert ours.keys() - {"lr"} == theirs.keys() - LEFT_OUT - implied
    defaults = {key: theirs[key].default for key in ours.keys() - {"lr"} - OF_THE_FIELD.get(name, set())}
    plain = {key: tuple(value) if isinstance(value, list) else value for key, value in ours.items()}
    assert defaults == {key: plain[key] for key in defaults}
    assert set(config.arguments()) <= theirs.keys()


@pytest.mark.parametrize("optimizer", ALL, ids=show)
def test_a_step_takes_and_keeps_what_was_predicted(optimizer: Document) -> None:
    """To the byte, in every instruction; in the trace and in a late step on real tensors."""
    plan = small({"optimizer": optimizer})
    predicted = tuple(moment.bytes for moment in as_traced(plan).timeline)
    assert predicted == trace(plan).timeline
    session = Session(plan)
    images, labels = next(batches(plan, dtype=torch.float32))
    for _ in range(5):  # from the sixth on radam does all that it ever does
        session.train_step(images, labels)
    states = {p: state for each in session.optimizers.values() for p, state in each.state.items()}
    for parameter, state in states.items():  # of `sgd` without momentum there is a None
        found = {slot: tuple(value.shape) for slot, value in state.items() if isinstance(value, Tensor)}
        assert found == plan.config.train.optimizer.slots(tuple(parameter.shape))
    tensors = [value for state in states.values() for value in state.values() if isinstance(value, Tensor)]
    kept = sum(tensor.untyped_storage().nbytes() for tensor in tensors)
    assert kept == sum(resident(plan.config, n).get("optimizer state", 0) for n in plan.networks.values())
    averages = optimizer["name"] != "asgd" or "t0" in optimizer  # else from the millionth step on
    assert not averages or predicted == watch(session, images, labels).timeline


@pytest.mark.parametrize("optimizer", ALL, ids=show)
def test_numbers_are_those_of_the_optimizer_in_a_plain_loop(optimizer: Document) -> None:
    plan = small({"optimizer": optimizer})
    session, again = Session(plan), Session(plan)
    config = plan.config.train.optimizer
    kinds = {g: list(again.model.kinds(g)) for g in again.optimizers}
    excluded = optimizer.get("weight_decay_exclude", [])
    given = {k: v for k, v in config.arguments().items() if k not in ("fused", "foreach")}
    plain = [
        torch_class(config.name)([p], **given | ({"weight_decay": 0.0} if kind in excluded else {}))
        for group in kinds.values()
        for kind, p in group
    ]
    for images, labels in batches(plan, dtype=torch.float32, count=3):
        session.train_step(images, labels)
        again.train_step(images, labels, update=False)
        for each in plain:
            each.step()
            each.zero_grad()
    for (name, a), (_, b) in zip(session.named_parameters(), again.named_parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-7, msg=name)


def test_lamb_is_its_paper() -> None:
    """Algorithm 2 of 1904.00962, in float64, one number at a time where it can be."""
    torch.manual_seed(0)
    p = torch.nn.Parameter(torch.randn(3, 2, dtype=torch.float64))
    gradients = [torch.randn_like(p) for _ in range(4)]
    x, m, v = p.detach().clone(), torch.zeros(3, 2).double(), torch.zeros(3, 2).double()
    optimizer = Lamb([p], lr=0.1, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.05)
    for t, g in enumerate(gradients, 1):
        m, v = 0.8 * m + 0.2 * g, 0.9 * v + 0.1 * g**2
        r = (m / (1 - 0.8**t)) / ((v / (1 - 0.9**t)).sqrt() + 1e-3)
        u = r + 0.05 * x
        x = x - 0.1 * x.norm() / u.norm() * u
        p.grad = g
        optimizer.step()
    torch.testing.assert_close(p.detach(), x, rtol=1e-12, atol=0)


def test_lamb_leaves_a_parameter_that_is_zero_its_plain_step() -> None:
    p = torch.nn.Parameter(torch.zeros(2))
    p.grad = torch.tensor([2.0, -3.0])
    Lamb([p], lr=0.5, eps=1e-12, weight_decay=0.0).step()
    torch.testing.assert_close(p.detach(), torch.tensor([-0.5, 0.5]))


# -- what a spec may say ------------------------------------------------------------------------------------------


def codes(optimizer: Any) -> list[tuple[str, int]]:
    text = f"specc: 1\nname: x\nbackbone: {{family: resnet_cifar}}\ntrain:\n  optimizer:\n    {optimizer}\n"
    return [(d.code, d.span.line) for d in parse_spec(text).diagnostics if d.span]


@pytest.mark.parametrize("name", ["lbfgs", "LBFGS", "SparseAdam", "sparse_adam", "muon"])
def test_an_optimizer_that_cannot_work_is_refused_where_it_is_named(name: str) -> None:
    text = f"specc: 1\nname: x\nbackbone: {{family: resnet_cifar}}\ntrain: {{optimizer: {{name: {name}}}}}\n"
    (found,) = parse_spec(text).diagnostics
    assert found.code == "SPC615"
    assert found.span is not None
    assert text.splitlines()[3][found.span.column - 1 :].startswith(name)
    assert IMPOSSIBLE[name.lower().replace("_", "")] in found.message


@pytest.mark.parametrize(
    ("optimizer", "code"),
    [
        ("{name: sgd, nesterov: true, dampening: 0.5}", "SPC610"),
        ("{name: adam, weight_decay_exclude: [norms]}", "SPC614"),
        ("{name: rprop, etas: [1.5, 2.0]}", "SPC614"),
        ("{name: rprop, step_sizes: [2.0, 1.0]}", "SPC614"),
        ("{name: adam, betas: [1.0, 0.9]}", "SPC104"),
        ("{name: adafactor, d: 0.5}", "SPC104"),
        ("{name: adamx}", "SPC105"),
        ("{name: adagrad, momentum: 0.9}", "SPC101"),
    ],
)
def test_what_torch_would_refuse_is_refused_with_its_place(optimizer: str, code: str) -> None:
    assert codes(optimizer) == [(code, 6)]


def test_a_schedule_that_nothing_reads_is_refused() -> None:
    train = "{optimizer: {name: rprop}, schedule: {name: cosine}}"
    text = f"specc: 1\nname: x\nbackbone: {{family: resnet_cifar}}\ntrain: {train}\n"
    assert [d.code for d in parse_spec(text).diagnostics] == ["SPC614"]
    assert not parse_spec(text.replace("cosine", "constant")).diagnostics


@pytest.mark.parametrize("name", OPTIMIZERS.own)
def test_whatever_range_a_field_allows_torch_allows(name: str) -> None:
    """The ends of every range, one argument at a time."""
    properties = OPTIMIZERS[name].model_json_schema()["properties"]
    for key, about in properties.items():
        if key in ("name", "weight_decay_exclude") or about.get("type") != "number":
            continue
        above = about["exclusiveMinimum"] + 1e-12 if "exclusiveMinimum" in about else None
        for end in (end for end in (about.get("minimum"), about.get("maximum"), above) if end is not None):
            values = {"name": name, key: float(end)} | ({"nesterov": False} if name == "sgd" else {})
            config = OPTIMIZERS[name](**values)
            torch_class(name)([torch.nn.Parameter(torch.zeros(2))], **config.arguments())


KINDS = {
    "norms": {"block.ln_1.weight", "block.ln_1.bias", "block.ln_2.weight", "block.ln_2.bias", "rms.rms.weight"},
    "biases": {
        "patches.patch_embed.bias", "block.self_attention.in_proj_bias", "block.self_attention.out_proj.bias",
        "block.mlp.0.bias", "block.mlp.3.bias", "head.fc.bias",
    },
    "embeddings": {"token.class_token.weight", "position.pos_embedding.weight"},
    "scales": {"scaled.layer_scale.weight", "slopes.prelu.weight"},
}  # fmt: skip


@pytest.mark.parametrize(
    "kinds", [["norms"], ["biases"], ["embeddings"], ["scales"], ["norms", "biases"], [*KINDS]], ids=str
)
def test_which_parameters_do_not_decay(kinds: list[str]) -> None:
    layers: list[Document] = [
        {"name": "patches", "op": "patch_embed", "out": 6, "k": 4},
        {"name": "token", "op": "class_token"},
        {"name": "position", "op": "position_embedding"},
        {"name": "block", "op": "transformer_block", "heads": 2, "mlp": 8},
        {"name": "scaled", "op": "layer_scale"},
        {"name": "slopes", "op": "prelu"},
        {"name": "rms", "op": "rms_norm"},
        {"name": "first", "op": "select_token"},
        {"name": "head", "op": "linear", "out": 4},
    ]
    train: Document = {"optimizer": {"name": "adamw", "weight_decay": 0.3, "weight_decay_exclude": kinds}}
    session = Session(compiled(backbone={"layers": layers}, split={"blocks": 1}, train=train))
    names = {id(p): name for name, p in session.named_parameters()}
    (optimizer,) = session.optimizers.values()
    decay = {names[id(p)]: group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    excluded = set().union(*(KINDS[kind] for kind in kinds))
    assert decay == {name: 0.0 if name in excluded else 0.3 for name in names.values()}


def test_the_one_number_of_a_scaled_link_is_a_scale() -> None:
    links = [{"from": "next", "bias": "scaled"}]
    train: Document = {"optimizer": {"name": "sgd", "weight_decay_exclude": ["scales"]}}
    session = Session(compiled(ema_links=links, train=train))
    names = {id(p): name for name, p in session.named_parameters()}
    groups = [group for each in session.optimizers.values() for group in each.param_groups]
    excluded = {names[id(p)] for group in groups if group["weight_decay"] == 0 for p in group["params"]}
    assert excluded == set(session.model.scales)
