"""A malformed upload of every kind; `make test-malformed` sends a thousand."""

import os
from collections import Counter
from itertools import chain

import pytest

from tests.malformed.harness import READ, SAME, WHOLE, Found, run
from tests.malformed.kinds import KINDS, cases
from tests.malformed.seeds import seeds, whole_cases
from worker.decoding import REASONS


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Found:
    sent = chain(whole_cases(WHOLE), cases(1, seed=int(os.environ.get("FOGLAB_TEST_SEED", "1"))))
    return run(tmp_path_factory.mktemp("malformed"), sent, workers=2, forked=True)


@pytest.mark.timeout(900)
def test_malformed_uploads_break_no_promise(found: Found) -> None:
    assert found.violations == []


@pytest.mark.timeout(900)
def test_malformed_uploads_are_refused_or_fail_for_a_reason(found: Found) -> None:
    sent = [o for o in found.outcomes if o.kind != WHOLE]
    assert Counter(o.kind for o in sent) == dict.fromkeys(KINDS, 1)
    refused = {"refused 404", "refused 413", "refused 422", "refused 460"}
    assert {o.result for o in sent} <= {*READ, *refused, *REASONS}
    # What is read whole has damage that does not show, as a name that means nothing to us.
    assert sum(o.result in READ for o in sent) < len(sent) / 3


@pytest.mark.timeout(900)
def test_whole_logs_pass_through_the_same_path(found: Found) -> None:
    """Otherwise a refusal of everything would look like safety."""
    whole = [o.result for o in found.outcomes if o.kind == WHOLE]
    assert whole == [SAME] * len(seeds())
