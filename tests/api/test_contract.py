"""The service keeps what its OpenAPI document says. `make test-api-fuzz` asks 5,000 times."""

from tests.api.conftest import Service
from tests.api.contract import run
from tests.api.walk import make_things


def test_schemathesis_finds_nothing_in_five_hundred_cases(service: Service) -> None:
    make_things(service)
    outcome = run(service, "sqlite", 9, "--phases", "fuzzing,stateful", "--seed", "1")
    assert outcome.failures == 0, outcome.told
    assert outcome.code == 0, outcome.told
    assert outcome.cases >= 500
