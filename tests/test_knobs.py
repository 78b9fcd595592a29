"""A knob is one entry of one registry: what searches, advises, checks and documents reads it there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import specc
from specc import docs
from specc.checking import check_text
from specc.cli import main
from specc.commands.fitting import unasked
from specc.compiler.variants import predict, predicted_peak
from specc.fit.attempts import Attempts
from specc.fit.fastest import Fastest
from specc.fit.remedies import remedies
from specc.fit.search import search
from specc.learning.heads import Classifier
from specc.pipeline import PASSES, run_passes
from specc.plan.flops import step_flops
from specc.profiles import find
from specc.spec.json_schema import json_schema
from specc.spec.knobs import KNOBS, Knob, by_cost
from specc.spec.load import loads
from specc.spec.models import SpecModel
from specc.timing import step_time
from specc.views.budget import decision_lines

SPEC: dict[str, Any] = {
    "specc": 1,
    "name": "knobs",
    "data": {"dataset": "synthetic", "image_size": 16, "channels": 3, "classes": 10, "samples": 64, "batch_size": 32},
    "backbone": {"family": "resnet_cifar", "depth": 8, "widths": [8, 8, 16, 32]},
    "split": {"blocks": 2},
    "auxiliary": {"classifier": {"hidden": 4096}},
}


def narrower(config: SpecModel) -> SpecModel | None:
    head = config.auxiliary.classifier
    if head is None or head.hidden <= 16:
        return None
    return config.changed("auxiliary", classifier=head.model_copy(update={"hidden": head.hidden // 2}))


KEY = "auxiliary.classifier.hidden"
TOY = Knob("hidden", KEY, "a classifier half as wide", "a weaker teacher", 40, narrower, turns=2)


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> Knob:
    monkeypatch.setitem(KNOBS.own, TOY.name, TOY)
    return TOY


def over(budget: int, **changes: Any) -> str:
    return json.dumps(SPEC | {"budget": {"memory": budget}} | changes)


def test_a_spec_may_allow_it_and_no_other(toy: Knob) -> None:
    (found,) = check_text(over(1, split={"fit": {"allow": ["hiden"]}})).diagnostics
    assert found.code == "SPC105"
    assert found.help[0] == "did you mean `hidden`?"
    config = loads(over(1, split={"fit": {"allow": [toy.name]}})).config
    assert config.split.fit is not None
    assert config.split.fit.allow == [toy.name]
    enum = json_schema()["definitions"]["Fit"]["properties"]["allow"]["items"]
    assert enum["enum"] == [*KNOBS]
    assert "`hidden`: a classifier half as wide" in enum["description"]


def test_remedies_turn_it_no_further_than_needed_and_in_its_order(toy: Knob) -> None:
    draft = run_passes(loads(json.dumps(SPEC)))
    assert draft.memory is not None
    found = list(remedies(draft, draft.memory.peak_bytes - 1))
    changes = [remedy.change for remedy in found]
    assert "auxiliary.classifier.hidden: 2048" in changes
    assert [change.partition(":")[0] for change in changes] == [
        key for key in ("split", "train.recompute", KEY, "train.micro_batches", "train.precision", "data.batch_size",
                        "train.offload")
        if key in {change.partition(":")[0] for change in changes}
    ]  # fmt: skip
    assert [remedy.override for remedy in found if "hidden" in remedy.change] == ["auxiliary.classifier.hidden=2048"]
    twice = narrower(draft.spec.config.changed("auxiliary", classifier=Classifier(hidden=2048)))
    assert twice is not None
    budget = predicted_peak(draft, twice)
    assert budget is not None
    assert "auxiliary.classifier.hidden: 1024" in [remedy.change for remedy in remedies(draft, budget)]


def test_it_is_turned_with_others_where_no_change_is_enough(toy: Knob) -> None:
    draft = run_passes(loads(over(100_000)), PASSES)
    assert "`auxiliary.classifier.hidden: 16`" in draft.diagnostics[0].help[1]
    assert "the budget must be larger" in draft.diagnostics[0].help[1]


def test_a_search_tries_it_and_tells_what_it_turned(toy: Knob) -> None:
    draft = run_passes(loads(json.dumps(SPEC)))
    found = search(draft, 1 << 40, (toy.name,))
    assert [option.setting.knobs for option in found.options] == [(), (f"{KEY}: 2048",), (f"{KEY}: 1024",)]
    assert found.chosen is not None
    assert found.chosen.setting.turns == 0
    text = over(
        found.floor.row.predicted_peak_bytes + 512,
        split={"fit": {"min_blocks": 2, "max_blocks": 2, "allow": [toy.name]}},
    )
    plan = specc.compile(loads(text))
    assert plan.config.auxiliary.classifier.hidden == 1024
    assert f"  and {KEY}: 1024" in decision_lines(loads(text).config, plan)


def test_the_command_line_names_it_and_takes_it(toy: Knob, tmp_path: Path) -> None:
    path = tmp_path / "spec.yaml"
    path.write_text(json.dumps(SPEC))
    assert ",hidden" in CliRunner().invoke(main, ["fit", "--help"]).output
    words = ["fit", str(path), "--budget", "1GiB", "--format", "json", "--for", "blocks", "--allow"]
    result = CliRunner().invoke(main, [*words, "hidden"])
    assert [row["knobs"] for row in json.loads(result.stdout)["rows"]] == [
        [],
        [f"{KEY}: 2048"],
        [f"{KEY}: 1024"],
    ]
    wrong = CliRunner().invoke(main, [*words, "split,hide"])
    assert wrong.exit_code == 2
    assert "not hide" in wrong.output


@pytest.mark.parametrize("page", ["spec-reference.md", "memory.md"])
def test_the_documentation_lists_what_each_costs(toy: Knob, page: str) -> None:
    text = docs.PAGES[page]()
    for knob in by_cost():
        assert f"| `{knob.name}` | `{knob.key}` | {knob.does} | {knob.costs} |" in text


def test_patches_of_a_single_unit_are_turned_too() -> None:
    """A head stands in the common section, at a level or at a unit."""
    patched = {"classifier": {"patches": {"execution": "joint"}}}
    level = {"name": "a", "auxiliary": patched, "units": [{"unit": 0, "auxiliary": patched}]}
    config = loads(json.dumps(SPEC | {"auxiliary": patched, "levels": [level]})).config
    turned = KNOBS["patches"].turn(config)
    assert turned is not None
    heads = dict(turned.heads())
    assert len(heads) == 3
    assert {head.patches.execution for head in heads.values() if head.patches} == {"sequential"}
    assert KNOBS["patches"].turn(turned) is None
    unit = {"name": "a", "units": [{"unit": 0, "auxiliary": patched}]}
    assert KNOBS["patches"].turn(loads(json.dumps(SPEC | {"levels": [unit]})).config) is not None


def test_fewer_turns_are_taken_rather_than_fewer_blocks() -> None:
    draft = run_passes(loads(json.dumps(SPEC | {"auxiliary": {"classifier": {"hidden": 16}}})))
    found = search(draft, 1 << 40, ("split", "recompute")).options
    whole, turned = ({o.row.blocks: o.row.predicted_peak_bytes for o in found if o.setting.turns == n} for n in (0, 1))
    assert turned[1] < whole[1]
    budget = max(turned[1], min(whole.values()))
    chosen = search(draft, budget, ("split", "recompute")).chosen
    assert budget < whole[1]
    assert chosen is not None
    assert (chosen.setting.turns, chosen.row.blocks > 1) == (0, True)


DEEP = SPEC | {"split": {"blocks": 4}}  # of which one has its turn, and one is next


def test_the_host_is_the_last_resort_and_is_turned_where_it_is_named_alone() -> None:
    """First to the optimizer's state, then to all; what no device may be asked of is no way out."""
    knob, config = KNOBS["offload"], loads(json.dumps(DEEP)).config
    assert [each.name for each in by_cost()][-1] == knob.name
    once = knob.turned(config)
    assert once is not None
    assert knob.setting(once) == "train.offload: [optimizer]"
    assert knob.override(knob.furthest(config)) == "train.offload=[optimizer, parameters]"
    assert knob.turned(knob.furthest(config)) is None
    profile = find("h100")
    assert all(knob.name not in unasked(aim, device) for aim in ("time", "memory") for device in (None, profile))
    draft = run_passes(loads(json.dumps(DEEP)))
    assert draft.memory is not None
    both = predicted_peak(draft, knob.furthest(config))
    assert both is not None
    assert list(remedies(draft, both))[-1].change == "train.offload: [optimizer, parameters]"
    spec = json.dumps(DEEP | {"devices": {"data_parallel": 2, "shard": True}, "budget": {"memory": both}})
    (found,) = [d for d in check_text(spec).diagnostics if d.code == "SPC501"]
    assert not any("offload" in line for line in found.help)


def test_the_fastest_that_fits_may_be_one_with_parameters_on_the_host() -> None:
    """And it is not where something faster fits."""
    draft, profile = run_passes(loads(json.dumps(DEEP))), find("h100")
    config = draft.spec.config
    search = Fastest(Attempts(draft, profile), config, ["offload"])
    peaks = [predicted_peak(draft, config), predicted_peak(draft, KNOBS["offload"].furthest(config))]
    assert peaks[0] is not None
    assert peaks[1] is not None
    low = search.under(peaks[1])
    assert low is not None
    assert low.config.train.offload == ["optimizer", "parameters"]
    assert (
        low.seconds
        == step_time(
            specc.compile(loads(json.dumps(DEEP), "spec", ["train.offload=[optimizer, parameters]"])), profile
        ).seconds
    )
    slow = replace(profile, host_bandwidth=1e6)
    high = Fastest(Attempts(draft, slow), config, ["offload"]).under(peaks[0])
    assert high is not None
    assert high.config.train.offload == []


def test_a_variant_takes_what_its_plan_takes() -> None:
    """Forward-Forward sees every image three times."""
    spec = loads(json.dumps(SPEC | {"auxiliary": {"goodness": {"negatives": "images"}}}))
    plan, found = specc.compile(spec), predict(run_passes(spec), spec.config)
    assert found is not None
    assert (found.peak, found.flops) == (plan.memory.peak_bytes, step_flops(plan))
