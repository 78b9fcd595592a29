"""Random specs name what packages add, and are predicted with it; so are plans read again."""

from __future__ import annotations

from .processes import TOYS, told

NAMES = ("softplus", "ladder", "bottleneck", "sign_momentum")
DRAWS = """
import json
from hypothesis import HealthCheck, given, settings
import specc
from specc.plan.sound import read
from specc.spec.load import loads
from specc.testing.strategies import backbones, specs

seen = set()
SETTINGS = settings(deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))

@settings(SETTINGS, max_examples=300)
@given(backbones())
def look(document):
    text = json.dumps(document)
    seen.update(name for name in NAMES if f'"{name}"' in text)

@settings(SETTINGS, max_examples=60)
@given(specs())
def draw(document):
    text = json.dumps(document)
    seen.update(name for name in NAMES if f'"{name}"' in text)
    if any(f'"{name}"' in text for name in NAMES):
        plan = specc.compile(loads(text))
        assert read(plan.to_json()) == plan

draw()
look()
print(*sorted(seen))
"""


def test_random_specs_draw_what_packages_add() -> None:
    assert set(told([TOYS], f"NAMES = {NAMES!r}{DRAWS}").split()) == set(NAMES)
