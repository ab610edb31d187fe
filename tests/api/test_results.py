"""Datasets, models, rollouts and evaluations as finished jobs left them; videos with ranges."""

import io
import time
import zipfile
from pathlib import Path

import httpx
import numpy as np
import pytest

from api.signing import Signer, load_secret
from core.data.dataset import Dataset
from core.data.video import read_mp4
from foglab.client import ServiceClient, ServiceError
from tests.api import makers
from tests.api.conftest import Service


@pytest.fixture(scope="module")
def dataset(service: Service) -> str:
    return makers.dataset(service.store, service.artifacts)


@pytest.fixture(scope="module")
def model(service: Service, dataset: str) -> str:
    return makers.model(service.store, service.artifacts, dataset)


@pytest.fixture(scope="module")
def rollout(service: Service, dataset: str, model: str) -> str:
    return makers.rollout(service.store, service.artifacts, dataset, model)


def test_dataset_is_listed_with_its_size(client: ServiceClient, dataset: str) -> None:
    (found,) = [d for d in client.datasets() if d.id == dataset]
    assert (found.name, found.episodes, found.frames) == ("logs", 3, 21)
    one = client.dataset(dataset)
    assert one.meta is not None
    assert one.meta["fps"] == 10
    assert client.dataset_report(dataset) == {"dropped": []}


def test_unfinished_dataset_is_not_listed(client: ServiceClient, service: Service) -> None:
    job, _ = makers.running(service.store, service.artifacts)
    assert job.output_id not in {d.id for d in client.datasets()}
    with pytest.raises(ServiceError) as refused:
        client.dataset(job.output_id)
    assert refused.value.status == 404


def test_episode_numbers_are_those_on_disk(
    client: ServiceClient, service: Service, dataset: str
) -> None:
    stored = Dataset.open(service.artifacts.dataset(dataset))
    episodes = client.episodes(dataset)
    assert [(e.length, e.split, e.source) for e in episodes] == [
        (e.length, e.split, e.source) for e in stored.episodes
    ]
    second = client.episode(dataset, 1)
    rows = slice(7, 14)
    np.testing.assert_array_equal(np.float32(second.actions), stored.actions[rows])
    assert second.reward == [0, 1, 2, 3, 4, 5, 0]
    assert second.state is None
    for n in (3, -1, 10**9):
        with pytest.raises(ServiceError, match="3 episodes"):
            client.episode(dataset, n)


def test_episode_video_plays_without_a_header(
    client: ServiceClient, service: Service, dataset: str, tmp_path: Path
) -> None:
    url = client.link(client.episodes(dataset)[0].video_url)
    response = httpx.get(url)
    assert response.status_code == 200
    assert response.headers["content-type"] == "video/mp4"
    assert response.headers["cross-origin-resource-policy"] == "cross-origin"
    assert response.headers["accept-ranges"] == "bytes"
    (tmp_path / "0.mp4").write_bytes(response.content)
    assert read_mp4(tmp_path / "0.mp4").shape[0] == 7
    assert httpx.get(url).content == response.content
    assert not list(service.artifacts.root.glob("cache/previews/*/.*"))


def test_ranges_give_parts(client: ServiceClient, rollout: str) -> None:
    items = client.rollout(rollout).items
    assert items is not None
    url = client.link(items[0].video_url)
    whole = httpx.get(url).content
    for text, part in (("0-9", whole[:10]), ("10-", whole[10:]), ("-5", whole[-5:])):
        response = httpx.get(url, headers={"Range": f"bytes={text}"})
        assert response.status_code == 206
        assert response.content == part
    assert httpx.head(url).headers["content-length"] == str(len(whole))
    beyond = httpx.get(url, headers={"Range": f"bytes={len(whole)}-"})
    assert beyond.status_code == 416
    assert beyond.headers["content-range"] == f"bytes */{len(whole)}"
    assert beyond.headers["content-type"] == "application/problem+json"


def test_changed_or_expired_addresses_are_refused(
    client: ServiceClient, service: Service, rollout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = client.rollout(rollout).items
    assert items is not None
    url = client.link(items[0].video_url)
    later = url.replace("exp=", "exp=9")
    for changed in (
        later,
        url.replace("item=0", "item=1"),
        url.replace("which=video", "which=real"),
        url.replace(rollout, "ro_ffffffffffffffff"),
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url + "&item=1",
        url + "&extra=1",
        url.replace("&exp=", "&expiry="),
        url.split("&sig=")[0] + "&sig=0",
    ):
        response = httpx.get(changed)
        assert response.status_code == 403, changed
        assert response.json()["title"] == "The address is not valid"
    assert httpx.get(url.split("?")[0]).status_code == 401
    now = time.time()
    monkeypatch.setattr("api.signing.time.time", lambda: now + 3600 + 601)
    assert httpx.get(url).status_code == 403


def test_signature_opens_nothing_but_its_video(client: ServiceClient, rollout: str) -> None:
    items = client.rollout(rollout).items
    assert items is not None
    query = items[0].video_url.split("?")[1]
    assert httpx.get(f"{client.url}/api/v1/rollouts/{rollout}?{query}").status_code == 401
    assert httpx.get(f"{client.url}/api/v1/jobs?{query}").status_code == 401


def test_signed_address_stays_the_same_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = Signer(b"secret", 3600, "tok_1")
    monkeypatch.setattr("api.signing.time.time", lambda: 6000.0)
    first = signer.sign("/video", item=1)
    monkeypatch.setattr("api.signing.time.time", lambda: 6000.0 + 599)
    assert signer.sign("/video", item=1) in {first, signer.sign("/video", item=1)}
    assert "exp=10200" in signer.sign("/video")
    assert Signer(b"other", 3600, "tok_1").sign("/video") != signer.sign("/video")


def test_secret_is_made_once_and_private(tmp_path: Path) -> None:
    secret = load_secret(tmp_path / "home" / "secret")
    assert len(secret) == 32
    assert load_secret(tmp_path / "home" / "secret") == secret
    assert (tmp_path / "home" / "secret").stat().st_mode & 0o777 == 0o600
    assert [p.name for p in (tmp_path / "home").iterdir()] == ["secret"]


def test_rollout_tells_errors_per_step(client: ServiceClient, rollout: str) -> None:
    assert rollout in {r.id for r in client.rollouts()}
    (item,) = client.rollout_errors(rollout)
    assert item.psnr == [30.0, None]
    assert item.static_psnr == [20.0, None]
    assert item.real_url is None
    with pytest.raises(ServiceError) as refused:
        client.episodes(rollout)
    assert refused.value.status == 404


def test_missing_videos_are_not_found(http: httpx.Client, rollout: str, dataset: str) -> None:
    for query in ({"item": 1}, {"which": "real"}):
        assert http.get(f"/api/v1/rollouts/{rollout}/video", params=query).status_code == 404
    assert http.get(f"/api/v1/datasets/{dataset}/episodes/9/video").status_code == 404
    wrong = http.get(f"/api/v1/rollouts/{rollout}/video", params={"which": "../secret"})
    assert wrong.status_code == 422


def test_model_comes_with_config_spec_and_lineage(
    client: ServiceClient, http: httpx.Client, model: str, dataset: str
) -> None:
    assert model in {m.id for m in client.models("global_model")}
    assert model not in {m.id for m in client.models("policy")}
    found = client.model(model)
    assert found.config == {"channels": [64]}
    assert found.spec is not None
    assert found.spec["dataset"] == dataset
    assert found.result == {"loss": 0.5}
    lineage = http.get(f"/api/v1/lineage/{model}").json()["items"]
    assert [x["id"] for x in lineage[1:3]] == [dataset, model]


def test_model_downloads_as_a_zip(
    client: ServiceClient, service: Service, model: str, tmp_path: Path
) -> None:
    path = client.download_model(model, tmp_path / "model.zip")
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        assert archive.testzip() is None
        stored = service.artifacts.model(model)
        for name in ("config.json", "model.safetensors"):
            assert archive.read(f"{model}/{name}") == (stored / name).read_bytes()
    with pytest.raises(ServiceError, match="no artifact"):
        client.download_model("gm_ffffffffffffffff", tmp_path / "other.zip")
    assert [p.name for p in tmp_path.iterdir()] == ["model.zip"]


def test_evaluation_shows_figures_and_what_was_asked(
    client: ServiceClient, http: httpx.Client, service: Service, dataset: str, model: str
) -> None:
    made = makers.evaluation(service.store, dataset, model)
    (found,) = [e for e in client.evaluations() if e.id == made]
    assert found.result == {"psnr_1": 30.0}
    assert found.spec["global_model"] == model
    assert http.get(f"/api/v1/evaluations/{made}").json()["id"] == made
    assert http.get(f"/api/v1/evaluations/{model}").status_code == 404
