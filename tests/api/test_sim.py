"""Worlds over HTTP and WebSockets, with the real engine behind a socket."""

import base64
import json
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import httpx
import numpy as np
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

from api.main import create_app
from api.routes import sim_stream
from api.settings import Settings
from core.jobs import wire
from core.jobs.records import ArtifactType
from core.jobs.spec import GlobalModelSpec, IngestSpec, LocalModelSpec, PolicySpec
from core.jobs.wire import simulator_socket
from tests.api.conftest import Service, serve
from tests.api.makers import finish, upload
from tests.simulation.makers import SIZE, make_lab
from tests.simulation.serving import simulator

SIM = "/api/v1/sim"


@pytest.fixture(scope="module")
def played(service: Service) -> tuple[str, str]:
    """Ids of a global model and a policy of the service."""
    store = service.store
    dataset = finish(store, IngestSpec(upload=upload(store), name="push"), "push", {}).output_id
    model = finish(store, GlobalModelSpec(dataset=dataset), "world", {}).output_id
    local = finish(store, LocalModelSpec(dataset=dataset), "local", {}).output_id
    spec = PolicySpec(dataset=dataset, global_model=model, local_model=local)
    policy = finish(store, spec, "policy", {}).output_id
    make_lab(service.artifacts.root, dataset, model, policy)
    return model, policy


@pytest.fixture(scope="module")
def engine(service: Service) -> Iterator[simulator]:
    with simulator(service.artifacts.root, simulator_sessions_per_token=20) as running:
        yield running


pytestmark = pytest.mark.usefixtures("engine")


def frame_of(reply: dict[str, Any]) -> np.ndarray:
    data = base64.b64decode(reply["obs"]["data"])
    return np.frombuffer(data, np.uint8).reshape(reply["obs"]["shape"])


def test_an_episode_by_requests(http: httpx.Client, played: tuple[str, str]) -> None:
    started = http.post(f"{SIM}/reset", json={"model": played[0], "seed": 1, "max_steps": 2})
    assert started.status_code == 200, started.text
    first = started.json()
    assert frame_of(first).shape == (SIZE, SIZE, 3)
    session = {"session_id": first["session_id"]}
    steps = [
        http.post(f"{SIM}/step", json={**session, "action": [0.5, -2.0]}).json() for _ in range(2)
    ]
    assert [s["t"] for s in steps] == [1, 2]
    assert steps[0]["action"] == [0.5, -1.0]
    assert steps[1]["return"] == pytest.approx(sum(s["reward"] for s in steps))
    assert steps[1]["truncated"]
    ended = http.post(f"{SIM}/step", json={**session, "action": [0, 0]})
    assert (ended.status_code, ended.json()["title"]) == (409, "The episode has ended")
    closed = [http.post(f"{SIM}/close", json=session).json()["closed"] for _ in range(2)]
    assert closed == [True, False]
    gone = http.post(f"{SIM}/step", json={**session, "action": [0, 0]})
    assert (gone.status_code, "it was closed" in gone.json()["detail"]) == (410, True)


def test_info_tells_what_a_model_is_like(http: httpx.Client, played: tuple[str, str]) -> None:
    told = http.get(f"{SIM}/info", params={"model": played[0]}).json()
    assert told["most_sessions"] == 20
    model = told["model"]
    assert model["image_shape"] == [SIZE, SIZE, 3]
    assert model["latent_shape"] == [48, 4, 4]
    assert (model["action_dim"], model["dt"], model["task"]) == (2, 0.1, "push_disc")


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"action": [float("nan"), 0.0]}, 422, "action.0"),
        ({"action": [float("inf"), 0.0]}, 422, "action.0"),
        ({"action": ["left", 0]}, 422, "action.0"),
        ({"action": []}, 422, "action"),
        ({"action": [0.0] * 3}, 422, None),
        ({}, 422, None),
        ({"action": [0.0, 0.0], "speed": 2}, 422, "speed"),
        ({"action": [0.0, 0.0], "session_id": "ses_1"}, 422, "session_id"),
        ({"action": [0.0, 0.0], "session_id": "ses_" + "0" * 40}, 410, None),
    ],
)
def test_bad_steps_are_refused_with_the_field(
    http: httpx.Client, played: tuple[str, str], body: Any, status: int, field: str | None
) -> None:
    session = http.post(f"{SIM}/reset", json={"model": played[0]}).json()["session_id"]
    content = json.dumps({"session_id": session} | body)  # httpx itself refuses NaN
    headers = {"Content-Type": "application/json"}
    refused = http.post(f"{SIM}/step", content=content, headers=headers)
    assert refused.status_code == status, refused.text
    if field is not None:
        assert field in [e["field"] for e in refused.json()["errors"]]
    good = http.post(f"{SIM}/step", json={"session_id": session, "action": [0, 0]})
    assert good.json()["t"] == 1
    http.post(f"{SIM}/close", json={"session_id": session})


def test_only_models_of_the_right_kind_and_project(
    http: httpx.Client, service: Service, played: tuple[str, str]
) -> None:
    model, policy = played
    absent = http.post(f"{SIM}/reset", json={"model": "gm_00000000000000ff"})
    assert absent.status_code == 404
    wrong = http.post(f"{SIM}/reset", json={"model": policy})
    assert wrong.json()["detail"] == f"{policy} is no global model"
    service.store.add_project("others")
    token = service.store.of("others").create_token("other")
    other = {"Authorization": f"Bearer {token}"}
    for name, fields in (("model", played), ("policy", played)):
        hidden = http.post(f"{SIM}/reset", json={name: fields[name == "policy"]}, headers=other)
        assert hidden.status_code == 404, hidden.text
    assert http.get(f"{SIM}/info", params={"model": model}, headers=other).status_code == 404
    asked = {"observations": [row(0)]}
    assert http.post(f"/api/v1/policies/{policy}/act", json=asked, headers=other).status_code == 404
    session = http.post(f"{SIM}/reset", json={"model": model}).json()["session_id"]
    step = {"session_id": session, "action": [0, 0]}
    assert http.post(f"{SIM}/step", json=step, headers=other).status_code == 404
    assert http.post(f"{SIM}/step", json=step).status_code == 200


def test_a_token_has_so_many_sessions(service: Service, played: tuple[str, str]) -> None:
    token = service.store.create_token("greedy")
    headers = {"Authorization": f"Bearer {token}"}
    with httpx.Client(base_url=service.url, headers=headers, timeout=60) as greedy:
        for _ in range(20):
            assert greedy.post(f"{SIM}/reset", json={"model": played[0]}).status_code == 200
        refused = greedy.post(f"{SIM}/reset", json={"model": played[0]})
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
    assert "20 of 20 sessions" in refused.json()["detail"]


# --- Policies


def row(seed: int, side: int = SIZE) -> dict[str, Any]:
    frame = np.random.default_rng(seed).integers(0, 255, (side, side, 3), dtype=np.uint8)
    return {"data": base64.b64encode(frame.tobytes()).decode(), "shape": [side, side, 3]}


def test_a_policy_answers_rows_and_remembers_them(
    http: httpx.Client, played: tuple[str, str]
) -> None:
    address = f"/api/v1/policies/{played[1]}/act"
    first = http.post(address, json={"observations": [row(0), row(1)]}).json()
    assert np.shape(first["actions"]) == (2, 2)
    session = {"session_id": first["session_id"]}
    later = http.post(address, json={"observations": [row(0), row(1)], **session}).json()
    assert later["t"] == 2
    assert later["actions"] != first["actions"]
    assert http.post(f"{SIM}/close", json=session).json()["closed"]
    gone = http.post(address, json={"observations": [row(0), row(1)], **session})
    assert gone.status_code == 410


def test_a_policy_takes_pictures(http: httpx.Client, played: tuple[str, str]) -> None:
    address = f"/api/v1/policies/{played[1]}/act"
    plain = row(4)
    frame = np.frombuffer(base64.b64decode(plain["data"]), np.uint8).reshape(SIZE, SIZE, 3)
    png = cv2.imencode(".png", frame[..., ::-1])[1].tobytes()
    picture = {"data": base64.b64encode(png).decode(), "encoding": "png"}
    actions = [
        http.post(address, json={"observations": [one]}).json()["actions"]
        for one in (plain, picture)
    ]
    assert actions[0] == actions[1]


@pytest.mark.parametrize(
    "bad",
    [
        {"data": "%%%", "shape": [1, 1, 3]},
        {"data": base64.b64encode(b"not a picture").decode(), "encoding": "png"},
        {"data": "", "shape": [16, 16, 3]},
        {"data": base64.b64encode(b"12").decode()},
        row(0, 8),
    ],
)
def test_bad_observations_are_refused(
    http: httpx.Client, played: tuple[str, str], bad: dict[str, Any]
) -> None:
    refused = http.post(f"/api/v1/policies/{played[1]}/act", json={"observations": [bad]})
    assert refused.status_code == 422, refused.text
    assert "observations" in refused.json()["detail"]


# --- Recording


def test_a_recording_becomes_an_upload_and_an_ingest_job(
    http: httpx.Client, service: Service, played: tuple[str, str]
) -> None:
    session = None
    for seed in range(2):
        asked = {"model": played[0], "seed": seed, "record": True}
        asked |= {"session_id": session} if session else {}
        session = http.post(f"{SIM}/reset", json=asked).json()["session_id"]
        for _ in range(3):
            told = http.post(f"{SIM}/step", json={"session_id": session, "action": [1, 0]}).json()
    assert told["recorded"] == {"episodes": 2, "steps": 6, "full": False}
    done = http.post(f"{SIM}/save", json={"session_id": session, "name": "my play"})
    assert done.status_code == 202, done.text
    job = service.store.get(done.json()["job"]["id"])
    assert (job.kind, job.spec["upload"]) == ("ingest", done.json()["upload_id"])
    assert service.store.get_upload(done.json()["upload_id"]).size > 1000


# --- WebSocket


class Player:
    """A client of the stream."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    def send(self, **asked: Any) -> None:
        self.socket.send(json.dumps(asked))

    def hear(self) -> wire.Message:
        message = self.socket.recv(timeout=60)
        assert isinstance(message, bytes)
        return wire.unpack(message)

    def ask(self, **asked: Any) -> wire.Message:
        self.send(**asked)
        return self.hear()


def address(service: Service) -> str:
    return service.url.replace("http", "ws", 1) + f"{SIM}/ws"


def test_many_sessions_play_over_one_socket(
    service: Service, played: tuple[str, str], http: httpx.Client
) -> None:
    headers = {"Authorization": f"Bearer {service.token}"}
    with connect(address(service), additional_headers=headers) as socket:
        player = Player(socket)
        assert player.hear()[0] == {"id": 0, "ready": True}
        resets = [player.ask(id=n, op="reset", model=played[0], seed=n) for n in range(5)]
        sessions = [header["session_id"] for header, _ in resets]
        for n, session in enumerate(sessions):
            player.send(id=n, op="step", session_id=session, action=[0.1, 0.2])
        heard = {header["id"]: (header, body) for header, body in (player.hear() for _ in sessions)}
        assert sorted(heard) == list(range(5))
        for n, session in enumerate(sessions):
            header, body = heard[n]
            assert (header["session_id"], header["t"]) == (session, 1)
            assert len(body) == SIZE * SIZE * 3
        for bad, status in (
            ({"op": "dance"}, 422),
            ({"op": "step", "session_id": sessions[0], "action": ["x"]}, 422),
            ({"op": "step", "session_id": "ses_" + "0" * 40, "action": [0, 0]}, 410),
        ):
            header, _ = player.ask(id=9, **bad)
            assert (header["id"], header["error"]["status"]) == (9, status), header
        socket.send("no json")
        assert player.hear()[0]["error"]["status"] == 400
    # Sessions of a connection end with it.
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        step = {"session_id": sessions[0], "action": [0, 0]}
        if (status := http.post(f"{SIM}/step", json=step).status_code) == 410:
            break
    assert status == 410


def test_a_browser_comes_with_a_signed_address(
    service: Service, played: tuple[str, str], http: httpx.Client
) -> None:
    url = service.url.replace("http", "ws", 1) + http.post(f"{SIM}/ticket").json()["url"]
    for origin in ("http://dashboard.test", service.url):
        with connect(url, origin=origin) as socket:  # type: ignore[arg-type]
            player = Player(socket)
            assert player.hear()[0]["ready"]
            assert "session_id" in player.ask(op="reset", model=played[0])[0]
    for changed, origin in (
        (url + "0", service.url),
        (address(service), service.url),
        (url, "http://evil.test"),
    ):
        with pytest.raises(InvalidStatus) as refused:
            connect(changed, origin=origin)  # type: ignore[arg-type]
        assert refused.value.response.status_code in {401, 403}


def test_a_reading_token_may_not_play(service: Service) -> None:
    token = service.store.create_token("reader", scopes=["read"])
    reader = {"Authorization": f"Bearer {token}"}
    with pytest.raises(InvalidStatus):
        connect(address(service), additional_headers=reader)
    assert httpx.post(f"{service.url}{SIM}/ticket", headers=reader).status_code == 403


def test_a_revoked_token_stops_the_stream(
    service: Service, played: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sim_stream, "CHECK_SECONDS", 0.0)
    token, secret = service.store.issue_token("soon revoked")
    headers = {"Authorization": f"Bearer {secret}"}
    with connect(address(service), additional_headers=headers) as socket:
        player = Player(socket)
        player.hear()
        assert "session_id" in player.ask(op="reset", model=played[0])[0]
        service.store.revoke_token(token.id)
        with pytest.raises(ConnectionClosed) as closed:
            player.ask(op="reset", model=played[0])
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4401


# --- When the simulator is away


def test_without_a_simulator_the_answer_is_503_and_it_comes_back(
    sqlite_template: Path, tmp_path: Path
) -> None:
    shutil.copyfile(sqlite_template, tmp_path / "foglab.db")
    app = create_app(Settings(home=tmp_path))
    with serve(app) as url:
        headers = {"Authorization": f"Bearer {app.state.services.store.create_token('t')}"}
        with httpx.Client(base_url=url, headers=headers, timeout=60) as http:
            down = http.get(f"{SIM}/info")
            assert (down.status_code, down.headers["retry-after"]) == (503, "2")
            assert down.json()["title"] == "The simulator does not answer"
            step = {"session_id": "ses_" + "1" * 40, "action": [0]}
            for _ in range(2):
                with simulator(tmp_path):
                    assert http.get(f"{SIM}/info").status_code == 200
                    gone = http.post(f"{SIM}/step", json=step)
                    assert (gone.status_code, "started anew" in gone.text) == (410, True)
                simulator_socket(tmp_path).unlink(missing_ok=True)
                assert http.get(f"{SIM}/info").status_code == 503


# --- The surface at the root


@pytest.fixture(scope="module")
def compat(service: Service, played: tuple[str, str]) -> Iterator[str]:
    """Another server on the same home, with the surface switched on, on loopback."""
    given = service.app.state.services.settings
    settings = given.model_copy(update={"compat_model": played[0], "compat_max_steps": 3})
    with serve(create_app(settings, loopback=True)) as url:
        yield url


def test_a_gym_style_client_plays_without_a_token_on_loopback(compat: str) -> None:
    with httpx.Client(base_url=compat, timeout=60) as client:
        assert client.get("/health").json() == {"status": "ok"}
        info = client.get("/info").json()
        assert info == {
            "action_dim": 2,
            "image_shape": [SIZE, SIZE, 3],
            "latent_shape": [48, 4, 4],
            "max_steps": 3,
            "dt": 0.1,
        }
        asked = {"seed": 3, "obs_type": "image", "encoding": "raw_u8", "width": 7}
        first = client.post("/reset", json=asked).json()
        assert {"session_id", "obs", "t", "info"} <= set(first)
        assert first["obs"]["encoding"] == "raw_u8"
        session = first["session_id"]
        step = {"session_id": session, "action": [0.1, 0.1]}
        latent = client.post("/step", json={**step, "obs_type": "latent"}).json()
        data = base64.b64decode(latent["obs"]["data"])
        assert np.isfinite(np.frombuffer(data, np.float16).reshape(48, 4, 4)).all()
        assert {"obs", "reward", "terminated", "truncated", "t", "info"} <= set(latent)
        jpeg = client.post("/step", json={**step, "encoding": "jpeg"}).json()
        assert base64.b64decode(jpeg["obs"]["data"]).startswith(b"\xff\xd8\xff")
        assert client.post("/step", json=step).json()["truncated"]
        ended = client.post("/step", json=step)
        assert (ended.status_code, bool(ended.json()["detail"])) == (409, True)
        at = client.post("/reset", json={"start_idx": 5}).json()
        assert at["info"]["window"] == 5
        for _ in range(2):
            assert client.post("/close", json={"session_id": session}).status_code == 200


@pytest.mark.parametrize("session", ["ses_" + "0" * 40, "never", ""])
def test_unknown_sessions_are_409_there(compat: str, session: str) -> None:
    step = {"session_id": session, "action": [0.0, 0.0]}
    answer = httpx.post(f"{compat}/step", json=step)
    assert answer.status_code == 409
    assert "reset" in answer.json()["detail"]


@pytest.mark.parametrize("action", [[0.0], ["x", 0], []])
def test_bad_actions_are_422_there(compat: str, action: list[Any]) -> None:
    session = httpx.post(f"{compat}/reset", json={}).json()["session_id"]
    answer = httpx.post(f"{compat}/step", json={"session_id": session, "action": action})
    assert answer.status_code == 422


def test_a_token_that_is_sent_there_must_be_valid(compat: str, service: Service) -> None:
    bad = {"Authorization": "Bearer fog_garbage"}
    assert httpx.get(f"{compat}/info", headers=bad).status_code == 401
    good = {"Authorization": f"Bearer {service.token}"}
    assert httpx.get(f"{compat}/info", headers=good).status_code == 200
    by_name = {"Host": "robots.example"}  # a page that rebinds its name to this machine
    assert httpx.get(f"{compat}/info", headers=by_name).status_code == 401


def test_the_surface_is_off_by_default_and_asks_for_a_token_elsewhere(
    http: httpx.Client, service: Service, played: tuple[str, str]
) -> None:
    assert http.get("/info").status_code == 404
    given = service.app.state.services.settings
    settings = given.model_copy(update={"compat_model": played[0]})
    with serve(create_app(settings)) as url:
        for method, path in (("GET", "/health"), ("GET", "/info"), ("POST", "/reset")):
            assert httpx.request(method, url + path, json={}).status_code == 401


def test_ids_of_sessions_cannot_be_guessed(http: httpx.Client, played: tuple[str, str]) -> None:
    ids = {
        http.post(f"{SIM}/reset", json={"model": played[0]}).json()["session_id"] for _ in range(2)
    }
    assert len(ids) == 2
    assert all(len(i) == len("ses_") + 8 + len(secrets.token_hex(16)) for i in ids)


def test_a_deleted_model_ends_the_play_with_a_reason(
    http: httpx.Client, service: Service, played: tuple[str, str]
) -> None:
    model = finish(service.store, GlobalModelSpec(dataset=_dataset(service)), "copy", {}).output_id
    shutil.copytree(service.artifacts.model(played[0]), service.artifacts.model(model))
    session = http.post(f"{SIM}/reset", json={"model": model}).json()["session_id"]
    shutil.rmtree(service.artifacts.model(model))
    for _ in range(2):
        gone = http.post(f"{SIM}/step", json={"session_id": session, "action": [0, 0]})
        assert (gone.status_code, f"{model} was deleted" in gone.json()["detail"]) == (410, True)


def _dataset(service: Service) -> str:
    return service.store.list_artifacts(type=ArtifactType.DATASET)[0].id
