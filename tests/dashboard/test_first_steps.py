"""What a newcomer sees: every empty page says what to do next."""

import pytest
from streamlit.testing.v1 import AppTest

from tests.dashboard.conftest import links, opened, texts


@pytest.mark.parametrize("page", ["datasets", "train", "jobs", "rollouts", "models"])
def test_empty_page_leads_to_the_next_step(app: AppTest, page: str) -> None:
    opened(app, page)
    assert app.info
    assert set(links(app)) & {"Upload logs", "Train something", "Train"}


def test_home_of_an_empty_service_gives_the_first_commands(app: AppTest) -> None:
    commands = [block.value for block in opened(app, "home").code]
    assert any(command.startswith("foglab make-logs push_disc") for command in commands)
    assert "foglab demo" in commands
    assert "Start with robot logs" in texts(app)
