"""Networks of timm and transformers, and of the user's own file: the same numbers, names and beginnings as there."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runtime import Session
from runtime.errors import RunError
from runtime.memory.trace import trace as traced_memory
from runtime.trace.networks import make
from specc.checking import check_text
from specc.graph.families import Foreign
from specc.graph.ops.source import Source
from specc.memory.prediction import as_traced
from specc.plan import Plan

from .commands import specc
from .conftest import SEED
from .documents import Document, compiled, document

CLASSES = 5
VIT = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "patch_size": 8}
NETWORKS: dict[str, Document] = {
    "batch_norms_with_activations": {"timm": "resnet10t"},
    "squeeze_and_excite": {"timm": "test_efficientnet"},
    "attention": {"timm": "test_vit", "args": {"img_size": 32}},
    "functional_dropout": {"timm": "ghostnet_050", "args": {"drop_rate": 0.2}},
    "depthwise": {"timm": "test_convnext"},
    "of_hugging_face": {"transformers": "vit", "args": VIT},
}


def parts(backbone: Document) -> Document:
    data = {"dataset": "synthetic", "image_size": 32, "channels": 3, "classes": CLASSES, "samples": 8, "batch_size": 4}
    return {
        "backbone": backbone, "data": data, "split": {"blocks": 1}, "auxiliary": {"classifier": {"layers": "1c2f"}},
        "train": {"epochs": 1, "optimizer": {"name": "sgd", "lr": 0.01}},
    }  # fmt: skip


def theirs(plan: Plan) -> nn.Module:
    backbone = plan.config.backbone
    assert isinstance(backbone, Foreign)
    torch.manual_seed(SEED)
    return make(backbone.source(plan.data.shape, plan.data.classes)).to(torch.float64)


def logits(result: Any) -> Tensor:
    found: Tensor = getattr(result, "logits", result)
    return found


def assert_close(got: Tensor, want: Tensor, what: str) -> None:
    error = float((got - want).abs().max()) / max(1.0, float(want.abs().max()))
    assert error <= 1e-10, f"{what} is off by {error:.1e}"


@pytest.mark.parametrize("name", NETWORKS)
def test_one_block_is_a_plain_loop_to_the_last_number(name: str) -> None:
    """Loss, gradients and updated parameters in float64, the module's own tensors being trained in place."""
    plan = compiled(**parts(NETWORKS[name]))
    own, plain = theirs(plan), theirs(plan)
    plain.load_state_dict(own.state_dict())
    session = Session(plan, dtype=torch.float64, module=own)
    optimizer = torch.optim.SGD(plain.parameters(), lr=session.optimizers["block0"].param_groups[0]["lr"])
    options = {k: session.optimizers["block0"].param_groups[0][k] for k in ("momentum", "weight_decay", "nesterov")}
    optimizer.param_groups[0].update(options)
    generator = torch.Generator().manual_seed(SEED)
    for _ in range(2):
        images = torch.rand(4, 3, 32, 32, dtype=torch.float64, generator=generator)
        labels = torch.randint(CLASSES, (4,), generator=generator)
        torch.manual_seed(SEED + 1)
        step = session.train_step(images, labels)
        torch.manual_seed(SEED + 1)
        optimizer.zero_grad()
        loss = F.cross_entropy(logits(plain(images)), labels)
        loss.backward()
        optimizer.step()
        (total,) = step.total.values()
        assert_close(total, loss.detach(), "loss")
    for key, tensor in plain.state_dict().items():
        assert_close(own.state_dict()[key].double(), tensor.double(), key)
    own.eval()
    plain.eval()
    with torch.no_grad():
        assert_close(session.predict(images), logits(plain(images)), "evaluation")


@pytest.mark.parametrize("name", ["attention", "squeeze_and_excite", "of_hugging_face"])
def test_a_run_begins_with_the_numbers_of_the_networks_own_code(name: str) -> None:
    plan = compiled(**parts(NETWORKS[name]))
    torch.manual_seed(plan.config.train.seed)
    backbone = plan.config.backbone
    assert isinstance(backbone, Foreign)
    state = make(backbone.source(plan.data.shape, plan.data.classes)).state_dict()
    bound = make(backbone.source(plan.data.shape, plan.data.classes))
    Session(plan, module=bound)
    begun = Session(plan)
    assert sorted(p.sum().item() for p in begun.model.parameters.values()) == sorted(
        state[key].sum().item() for key, _ in bound.named_parameters()
    )


@pytest.mark.parametrize("name", ["attention", "squeeze_and_excite", "of_hugging_face"])
def test_memory_of_cut_networks_is_that_of_the_trace(name: str) -> None:
    plan = compiled(**parts(NETWORKS[name]) | {"split": {"blocks": 3}})
    predicted, traced = as_traced(plan), traced_memory(plan)
    assert predicted.peak_bytes == pytest.approx(traced.peak_bytes, rel=1e-2)


def test_another_module_than_the_traced_one_is_refused() -> None:
    plan = compiled(**parts(NETWORKS["depthwise"]))
    with pytest.raises(RunError, match="the module has no `"):
        Session(plan, module=nn.Linear(3, 4))
    with pytest.raises(RunError, match=r"of the module is .* float32 on cpu, and the session takes .* float64"):
        Session(plan, dtype=torch.float64, module=theirs(plan).float())


def test_of_several_networks_of_a_type_the_first_is_taken() -> None:
    """DeiT is there with a teacher and without one."""
    network = make(
        Source("transformers", "deit", (3, 16, 16), CLASSES, args=json.dumps({**VIT, "num_hidden_layers": 1}))
    )
    assert type(network).__name__ == "DeiTForImageClassification"


# ---------------------------------------------------------------------------------------- a file of the user's

NETS = """
import json
from pathlib import Path
from torch import nn
import torch.nn.functional as F

Path(__file__).with_name("imported").touch()


class Net(nn.Module):
    def __init__(self, width, classes):
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.convs = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in range(3))
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = F.relu(self.stem(x), True)
        for conv in self.convs:
            if x.shape[-1] > 8:
                x = F.max_pool2d(x, 2)
            x = x + F.dropout(F.relu(conv(x)), 0.2, self.training)
        return {"logits": self.head(x.mean((2, 3))), "features": x}


def make_net(width=4, num_classes=10):
    return Net(width, num_classes)


class Deciding(Net):
    def forward(self, x):
        return super().forward(x if x.sum() > 0 else -x)["logits"]
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a spec and a file of code, and an empty cache."""
    monkeypatch.setenv("SPECC_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SPECC_TRUST_CODE", raising=False)
    for name in [name for name in sys.modules if name.startswith("specc_module_")]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "nets.py").write_text(NETS)
    write_spec(tmp_path, {"module": "nets.py:make_net", "args": {"width": 6}})
    return tmp_path


def write_spec(folder: Path, backbone: Document) -> None:
    (folder / "spec.yaml").write_text(json.dumps(document(**parts(backbone) | {"split": {"blocks": 2}})))


def codes(text: str) -> list[tuple[str, str]]:
    return [(d.code, " ".join((d.message, *d.help))) for d in check_text(text).diagnostics]


def test_code_is_not_run_behind_anybodys_back(own: Path) -> None:
    refused = specc("validate", "spec.yaml", cwd=own)
    assert refused.returncode == 1
    assert "error[SPC312]" in refused.stderr
    assert "`make_net` of" in refused.stderr
    assert "nets.py" in refused.stderr
    assert "--trust-code" in refused.stderr
    assert not (own / "imported").exists()


def test_a_file_that_was_trusted_once_is_planned_without_being_run_until_it_changes(own: Path) -> None:
    trusted = specc("plan", "spec.yaml", "--trust-code", cwd=own)
    assert trusted.returncode == 0, trusted.stderr
    (own / "imported").unlink()
    again = specc("plan", "spec.yaml", cwd=own)
    assert (again.returncode, again.stdout) == (0, trusted.stdout)
    with (own / "nets.py").open("a") as file:
        file.write("# another line\n")
    assert specc("plan", "spec.yaml", cwd=own).returncode == 1
    assert not (own / "imported").exists()


def test_a_run_of_code_that_nobody_trusts_ends_before_its_first_file(own: Path) -> None:
    assert specc("validate", "spec.yaml", "--trust-code", cwd=own).returncode == 0
    (own / "imported").unlink()
    done = specc("run", "spec.yaml", "--device", "cpu", "--run-dir", "run", cwd=own)
    assert done.returncode == RunError.exit_code
    assert "nobody said that this code may be run" in done.stderr
    assert not (own / "run").exists()
    assert not (own / "imported").exists()


def test_code_that_decides_by_numbers_is_named_with_its_line(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECC_TRUST_CODE", "1")
    backbone = {"module": f"{own}/nets.py:Deciding", "args": {"width": 6}}
    ((code, text),) = codes(json.dumps(document(**parts(backbone))))
    line = next(i for i, each in enumerate(NETS.splitlines(), 1) if "x.sum() > 0" in each)
    assert code == "SPC308"
    assert f"nets.py, line {line}" in text
    assert "`leaf: [...]`" in text


def test_blocks_of_an_own_network_learn_as_in_a_loop_with_detach_at_the_cut(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPECC_TRUST_CODE", "1")
    backbone = {"module": f"{own}/nets.py:make_net"}
    split = {"split": {"after": ["convs.0"]}}
    plan = compiled(**parts(backbone) | split)
    module, plain = theirs(plan), theirs(plan)
    plain.load_state_dict(module.state_dict())
    session = Session(plan, dtype=torch.float64, module=module)
    images = torch.rand(4, 3, 32, 32, dtype=torch.float64)
    labels = torch.arange(4)
    head = next(net for name, net in session.model.networks.items() if "classifier" in name)
    torch.manual_seed(SEED)
    features = F.max_pool2d(F.relu(plain.stem(images)), 2)
    features = features + F.dropout(F.relu(plain.convs[0](features)), 0.2, True)
    features = F.max_pool2d(features, 2)  # what has no weights goes with what comes before it
    F.cross_entropy(head(features), labels).backward()
    x = features.detach()
    for i in (1, 2):
        x = F.max_pool2d(x, 2) if x.shape[-1] > 8 else x
        x = x + F.dropout(F.relu(plain.convs[i](x)), 0.2, True)
    F.cross_entropy(plain.head(x.mean((2, 3))), labels).backward()
    torch.manual_seed(SEED)
    session.train_step(images, labels, update=False)
    for (name, got), want in zip(module.named_parameters(), plain.parameters(), strict=True):
        assert got.grad is not None
        assert want.grad is not None
        assert_close(got.grad, want.grad, name)
