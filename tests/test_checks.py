import pytest, torch, itertools
from hypothesis import given, settings
from oracles.harness.checks import checks, examine
from oracles.harness.oracle import Oracle
from oracles.harness.subjects.paths import PATHS, absent
from oracles.harness.subjects.torch_optim import Subject, quiet
from oracles.harness.case import AXES
from oracles.harness.tally import Tally
from oracles.sgd import RULE
quiet()
SUBJECTS=[Subject(torch.optim.SGD,p,a) for p in PATHS for a in AXES if not absent(torch.optim.SGD,p,a,"cpu")]
T=Tally()
@pytest.mark.parametrize("check", checks(RULE), ids=lambda c:c.name)
def test_check(check):
    t=Tally()
    @settings(max_examples=int(settings().max_examples*check.weight))
    @given(check.cases(RULE))
    def prop(case):
        f=examine(check,SUBJECTS,Oracle(RULE,case),t)
        assert not f, "\n".join(v.sentence for v in f)
    prop()
    print(check.name, t.elements, 'und',t.undecided_share,'swal',t.swallowed_share, t.rejected, dict(t.deviations), 'share',max((l.share for l in t.lines.values()),default=0))
