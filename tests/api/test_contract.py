"""The service keeps what its OpenAPI document says. `make test-api-fuzz` asks 5,000 times."""

import pytest

from tests.api.contract import DATABASES, installation, run


@pytest.mark.parametrize("database", DATABASES)
def test_schemathesis_finds_nothing_in_five_hundred_cases(database: str) -> None:
    with installation(database) as service:
        outcome = run(service, database, 9, "--phases", "fuzzing,stateful", "--seed", "1")
    assert outcome.failures == 0, outcome.told
    assert outcome.code == 0, outcome.told
    assert outcome.cases >= 500
