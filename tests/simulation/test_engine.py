"""Sessions in worlds: batched or alone, the same; and every way in which they end."""

import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from core.data.dataset import Dataset
from core.envs.camera import make_judge
from core.evaluation.success import LearnedBatch
from core.global_model.model import GlobalModel
from core.imagination.vector_env import ImaginedVectorEnv
from core.jobs.simulation import Act, Limits, Reset, Step
from core.local_model.model import LocalModel
from core.policy.actor_critic import Actor
from core.simulation.engine import Answer, Engine, Reply
from core.simulation.errors import Refused
from tests.simulation.conftest import Clock
from tests.simulation.makers import DATASET, MODEL, POLICY, SIZE, Lab, make_lab

TOLERANCE = 2
"""Of 255: convolutions of another batch size round otherwise."""


def reset(engine: Engine, owner: str = "me", **asked: Any) -> Reply:
    return engine.reset(owner, Reset.model_validate({"model": MODEL, **asked}))


def step(engine: Engine, session: str, action: Any = (0.0, 0.0), owner: str = "me") -> Answer:
    (answer,) = engine.step_all([(owner, Step(session_id=session, action=action))])
    return answer


def done(answer: Answer) -> Reply:
    assert isinstance(answer, Reply), answer
    return answer


def refused(answer: Answer) -> Refused:
    assert isinstance(answer, Refused)
    return answer


def pixels(reply: Reply) -> np.ndarray:
    frame = np.frombuffer(reply.body, np.uint8).reshape(reply.header["shape"])
    return frame.astype(int)


def actions(steps: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (steps, 2)).astype(np.float32)


def play(engine: Engine, seed: int, steps: int, **asked: Any) -> list[Reply]:
    """One session alone, from its reset on."""
    replies = [reset(engine, seed=seed, **asked)]
    session = replies[0].header["session_id"]
    for action in actions(steps, seed):
        replies.append(done(step(engine, session, tuple(action.tolist()))))
    return replies


def test_sessions_of_a_batch_equal_single_ones(engine: Engine) -> None:
    alone = [play(engine, seed, 8) for seed in range(5)]
    sessions = [reset(engine, seed=seed).header["session_id"] for seed in range(5)]
    taken = [actions(8, seed) for seed in range(5)]
    for t in range(8):
        asked = [
            ("me", Step(session_id=s, action=tuple(a[t].tolist())))
            for s, a in zip(sessions, taken, strict=True)
        ]
        for single, answer in zip(alone, engine.step_all(asked), strict=True):
            reply = done(answer)
            assert np.abs(pixels(reply) - pixels(single[t + 1])).max() <= TOLERANCE
            for name in ("reward", "return"):
                assert reply.header[name] == pytest.approx(single[t + 1].header[name], abs=0.05)
            assert reply.header["t"] == t + 1


def test_same_seed_and_actions_give_the_same_bytes(engine: Engine) -> None:
    first, second = play(engine, 3, 6), play(engine, 3, 6)
    assert [r.body for r in first] == [r.body for r in second]
    assert [r.body for r in first] != [r.body for r in play(engine, 4, 6)]


def test_a_session_is_an_environment_of_the_vector_environment(engine: Engine, lab: Lab) -> None:
    model = GlobalModel.load(lab.model)
    envs = ImaginedVectorEnv(model, Dataset.open(lab.artifacts.dataset(DATASET)), 1, 99)
    frames = [envs.reset(seed=5)[0][0, -1]]
    frames += [envs.step(a[None])[0][0, -1] for a in actions(6, 5)]
    for frame, reply in zip(frames, play(engine, 5, 6), strict=True):
        assert np.abs(frame.astype(int) - pixels(reply)).max() <= TOLERANCE


def test_an_episode_starts_at_the_logged_frame_that_was_asked_for(engine: Engine, lab: Lab) -> None:
    dataset = Dataset.open(lab.artifacts.dataset(DATASET))
    reply = reset(engine, episode=2, frame=7)
    row = dataset.episodes[2].start + 7
    assert np.array_equal(pixels(reply), dataset.frames[row])
    assert reply.header["info"] == {"episode": 2, "frame": 7}
    windowed = reset(engine, window=3)
    info = windowed.header["info"]
    again = dataset.frames[dataset.episodes[info["episode"]].start + info["frame"]]
    assert np.array_equal(pixels(windowed), again)


@pytest.mark.parametrize(
    ("asked", "status", "told"),
    [
        ({"episode": 99}, 422, "4 episodes"),
        ({"episode": 0, "frame": 0}, 422, "frames 1 to 80"),
        ({"window": 10**6}, 422, "windows of training frames"),
        ({"model": "gm_9999999999999999"}, 404, "does not exist"),
        ({"policy": "pi_9999999999999999"}, 404, "does not exist"),
        ({"model": None}, 422, "which global model"),
    ],
)
def test_starts_that_do_not_exist_are_refused(
    engine: Engine, asked: dict[str, Any], status: int, told: str
) -> None:
    with pytest.raises(Refused, match=told) as caught:
        reset(engine, **asked)
    assert caught.value.status == status
    assert len(engine.sessions) == 0


@pytest.mark.parametrize(
    "asked",
    [
        {"episode": 1, "window": 2},
        {"frame": 1},
        {"world": "simulator", "episode": 1},
        {"start": "simulator", "window": 1},
        {"obs_type": "latent"},
        {"encoding": "raw_f16"},
        {"max_steps": 0},
        {"seed": -1},
    ],
)
def test_resets_that_contradict_themselves_are_refused(asked: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Reset.model_validate({"model": MODEL, **asked})


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), "up", None])
def test_actions_are_finite_numbers(bad: Any) -> None:
    with pytest.raises(ValidationError):
        Step.model_validate({"session_id": "ses_" + "0" * 40, "action": [bad, 0.0]})


def test_an_action_of_the_wrong_size_is_refused_and_changes_nothing(engine: Engine) -> None:
    session = reset(engine, seed=1).header["session_id"]
    answer = refused(step(engine, session, (0.0, 0.0, 0.0)))
    assert (answer.status, answer.detail) == (422, "action: the model takes 2 numbers, not 3")
    assert done(step(engine, session)).header["t"] == 1


def test_actions_beyond_the_range_are_clipped_and_told(engine: Engine) -> None:
    session = reset(engine).header["session_id"]
    assert done(step(engine, session, (3.0, -9.0))).header["action"] == [1.0, -1.0]


def test_a_bad_step_does_not_spoil_the_others_of_its_batch(engine: Engine) -> None:
    good, bad = (reset(engine).header["session_id"] for _ in range(2))
    asked = [
        ("me", Step(session_id=bad, action=(0.0,))),
        ("me", Step(session_id=good, action=(0.0, 0.0))),
        ("me", Step(session_id="ses_" + "0" * 40, action=(0.0, 0.0))),
        ("me", Step(session_id=good, action=(0.5, 0.0))),
    ]
    answers = engine.step_all(asked)
    assert [refused(answers[i]).status for i in (0, 2)] == [422, 410]
    assert [done(answers[i]).header["t"] for i in (1, 3)] == [1, 2]


def test_an_episode_is_truncated_and_goes_on_after_a_reset_only(engine: Engine) -> None:
    first = reset(engine, max_steps=2, seed=0)
    session = first.header["session_id"]
    assert not done(step(engine, session)).header["truncated"]
    last = done(step(engine, session))
    assert last.header["truncated"]
    assert not last.header["terminated"]
    assert refused(step(engine, session)).status == 409
    again = engine.reset("me", Reset(session_id=session, seed=0))
    assert again.header["session_id"] == session
    assert again.header["t"] == again.header["return"] == 0
    assert again.body == first.body
    assert not done(step(engine, session)).header["truncated"]
    assert done(step(engine, session)).header["truncated"]  # max_steps stayed


def test_the_true_simulator_is_the_task_itself(engine: Engine) -> None:
    env = make_judge("push_disc", SIZE)
    frames = [env.reset(seed=8)[0]["pixels"]]
    total = 0.0
    for action in actions(5, 8):
        observation, reward, *_ = env.step(action)
        frames.append(observation["pixels"])
        total += float(reward)
    replies = play(engine, 8, 5, world="simulator")
    assert [r.body for r in replies] == [f.tobytes() for f in frames]
    assert replies[-1].header["return"] == pytest.approx(total)
    assert replies[-1].header["info"] == {"is_success": False}


def test_both_worlds_start_alike_where_the_simulator_starts(engine: Engine) -> None:
    true = reset(engine, seed=4, world="simulator")
    imagined = reset(engine, seed=4, start="simulator")
    assert true.body == imagined.body
    session = imagined.header["session_id"]
    switched = engine.reset("me", Reset(session_id=session, world="simulator", seed=4))
    assert switched.body == true.body


def test_a_policy_acts_as_it_does_in_the_true_simulator(engine: Engine, lab: Lab) -> None:
    folder = lab.artifacts.model(POLICY)
    learned = LearnedBatch(Actor.load(folder), LocalModel.load(folder / "local"))
    env = make_judge("push_disc", SIZE)
    observation, _ = env.reset(seed=2)
    learned.reset(1, 0)
    session = reset(engine, seed=2, world="simulator", policy=POLICY).header["session_id"]
    for _ in range(6):
        action = learned.act([observation])[0]
        reply = done(step(engine, session, None))
        assert reply.header["driver"] == "policy"
        assert np.allclose(reply.header["action"], action, atol=1e-3)
        observation = env.step(np.array(reply.header["action"], np.float32))[0]
    assert np.abs(pixels(reply) - observation["pixels"].astype(int)).max() <= TOLERANCE


def test_a_policy_can_take_over_at_any_step(engine: Engine) -> None:
    one, other = (reset(engine, seed=2, policy=POLICY).header["session_id"] for _ in range(2))
    led = [done(step(engine, one, None)).header["action"] for _ in range(4)]
    for action in led[:3]:
        done(step(engine, other, tuple(action)))
    assert np.allclose(done(step(engine, other, None)).header["action"], led[3], atol=0.01)


def test_without_a_policy_somebody_must_act(engine: Engine) -> None:
    session = reset(engine).header["session_id"]
    assert "2 numbers" in refused(step(engine, session, None)).detail


def test_observations_come_in_the_encoding_that_was_asked_for(engine: Engine) -> None:
    plain = reset(engine, seed=1)
    for encoding, tolerance in (("png", 0), ("jpeg", 6)):
        reply = reset(engine, seed=1, encoding=encoding)
        shown = cv2.imdecode(np.frombuffer(reply.body, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
        assert np.abs(shown.astype(int) - pixels(plain)).mean() <= tolerance
    latent = reset(engine, seed=1, obs_type="latent", encoding="raw_f16")
    patches = torch.from_numpy(np.frombuffer(latent.body, np.float16).copy()).float()
    assert latent.header["shape"] == [48, 4, 4]
    back = torch.nn.functional.pixel_shuffle(patches.reshape(1, 48, 4, 4), 4)[0]
    frame = ((back + 1) * 127.5).round().permute(1, 2, 0).numpy()
    assert np.abs(frame - pixels(plain)).max() <= 1
    session = plain.header["session_id"]
    (answer,) = engine.step_all(
        [("me", Step(session_id=session, action=(0, 0), obs_type="latent"))]
    )
    assert done(answer).header["encoding"] == "raw_f16"


def test_unused_sessions_expire_and_used_ones_do_not(engine: Engine, clock: Clock) -> None:
    idle, used = (reset(engine).header["session_id"] for _ in range(2))
    for _ in range(3):
        clock.now += 30
        done(step(engine, used))
    answer = refused(step(engine, idle))
    assert (answer.status, answer.detail) == (
        410,
        "it was not used for 60 s: start a new one with a reset",
    )
    assert len(engine.sessions) == 1


def test_nobody_reaches_the_sessions_of_others(engine: Engine) -> None:
    session = reset(engine, owner="me").header["session_id"]
    assert refused(step(engine, session, owner="you")).status == 404
    assert engine.close("you", session).header["closed"] is False
    done(step(engine, session))


def test_closing_twice_is_no_error_and_a_closed_session_is_gone(engine: Engine) -> None:
    session = reset(engine).header["session_id"]
    assert engine.close("me", session).header["closed"] is True
    assert engine.close("me", session).header["closed"] is False
    answer = refused(step(engine, session))
    assert (answer.status, "it was closed" in answer.detail) == (410, True)


def test_a_session_of_an_earlier_process_is_told_from_an_unknown_one(
    engine: Engine, lab: Lab
) -> None:
    old = Engine(lab.artifacts, torch.device("cpu"))
    session = reset(old).header["session_id"]
    answer = refused(step(engine, session))
    assert (answer.status, "started anew" in answer.detail) == (410, True)
    mine = reset(engine).header["session_id"]
    assert refused(step(engine, mine[:12] + "0" * 32)).status == 404


def test_a_token_has_so_many_sessions_and_the_service_too(lab: Lab, clock: Clock) -> None:
    limits = Limits(sessions=3, sessions_per_owner=2)
    engine = Engine(lab.artifacts, torch.device("cpu"), limits, clock)
    first = reset(engine).header["session_id"]
    reset(engine)
    with pytest.raises(Refused, match="2 of 2 sessions") as caught:
        reset(engine)
    assert caught.value.status == 429
    reset(engine, owner="you")
    with pytest.raises(Refused, match="3 of 3"):
        reset(engine, owner="they")
    engine.close("me", first)
    reset(engine)


def test_a_model_deleted_while_played_ends_its_sessions_alone(tmp_path: Path) -> None:
    lab = make_lab(tmp_path)
    shutil.copytree(lab.model, lab.artifacts.model("gm_0000000000000002"))
    engine = Engine(lab.artifacts, torch.device("cpu"))
    session = reset(engine).header["session_id"]
    other = reset(engine, model="gm_0000000000000002").header["session_id"]
    shutil.rmtree(lab.model)
    answer = refused(step(engine, session))
    assert (answer.status, answer.detail) == (410, f"{MODEL} was deleted")
    assert "was deleted" in refused(step(engine, session)).detail
    done(step(engine, other))


def test_models_beyond_the_limit_leave_and_come_back(tmp_path: Path) -> None:
    lab = make_lab(tmp_path)
    shutil.copytree(lab.model, lab.artifacts.model("gm_0000000000000002"))
    engine = Engine(lab.artifacts, torch.device("cpu"), Limits(models=1))
    sessions = [
        reset(engine, model=m, seed=1).header["session_id"] for m in (MODEL, "gm_0000000000000002")
    ]
    assert engine.shelf.ids == ["gm_0000000000000002"]
    frames = [done(step(engine, s, (0.3, 0.1))).body for s in sessions]
    assert frames[0] == frames[1]


def test_a_recording_is_what_was_seen_and_done(engine: Engine) -> None:
    replies = play(engine, 1, 3, record=True)
    session = replies[0].header["session_id"]
    with pytest.raises(Refused, match="a dataset needs two"):
        engine.recorded("me", session)
    engine.reset("me", Reset(session_id=session, seed=2))
    for _ in range(4):
        last = done(step(engine, session, (0.1, 0.2)))
    assert last.header["recorded"] == {"episodes": 2, "steps": 7, "full": False}
    with zipfile.ZipFile(io.BytesIO(engine.recorded("me", session).body)) as archive:
        assert b'"task": "push_disc"' in archive.read("meta.json")
        arrays = np.load(io.BytesIO(archive.read("episode_00000.npz")))
        assert np.array_equal(arrays["image"], np.stack([pixels(r) for r in replies]))
        assert np.allclose(arrays["reward"], [r.header["reward"] for r in replies[1:]])
        assert np.allclose(arrays["action"], actions(3, 1))
    for _ in range(9):
        last = done(step(engine, session, (0.1, 0.2)))
    assert last.header["recorded"] == {"episodes": 2, "steps": 12, "full": True}
    plain = reset(engine).header["session_id"]
    with pytest.raises(Refused, match="Nothing was recorded"):
        engine.recorded("me", plain)


# --- Policies by themselves


def act(engine: Engine, frames: np.ndarray, **asked: Any) -> Answer:
    one = Act.model_validate({"policy": POLICY, "shape": frames.shape, **asked})
    (answer,) = engine.act_all([("me", one, frames.tobytes())])
    return answer


def noise(rows: int, seed: int, side: int = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (rows, side, side, 3), dtype=np.uint8)


def test_policy_sessions_remember_and_batch(engine: Engine, lab: Lab) -> None:
    folder = lab.artifacts.model(POLICY)
    learned = LearnedBatch(Actor.load(folder), LocalModel.load(folder / "local"))
    learned.reset(3, 0)
    sessions: list[str | None] = [None, None]
    for t in range(4):
        frames = noise(3, t)
        expected = learned.act([{"pixels": f} for f in frames])
        parts = (frames[:2], frames[2:])
        asked = [
            ("me", Act(policy=POLICY, session_id=s, shape=f.shape), f.tobytes())  # type: ignore[arg-type]
            for s, f in zip(sessions, parts, strict=True)
        ]
        answers = [done(a) for a in engine.act_all(asked)]
        found = np.concatenate([a.header["actions"] for a in answers])
        assert np.allclose(found, expected, atol=0.01)
        sessions = [a.header["session_id"] for a in answers]
        assert answers[0].header["t"] == t + 1


def test_noise_draws_actions_as_an_evaluation_does(engine: Engine, lab: Lab) -> None:
    folder = lab.artifacts.model(POLICY)
    local = LocalModel.load(folder / "local")
    learned = LearnedBatch(Actor.load(folder), local, sample=True)
    learned.reset(2, 5)
    rng, session = np.random.default_rng(5), None
    for t in range(3):
        frames = noise(2, t)
        expected = learned.act([{"pixels": f} for f in frames])
        drawn = rng.normal(size=(2, 2)).tolist()
        reply = done(act(engine, frames, session_id=session, noise=drawn))
        assert np.allclose(reply.header["actions"], expected, atol=0.01)
        session = reply.header["session_id"]
    quiet, drawn = (
        done(act(engine, noise(2, 0), noise=one)).header["actions"] for one in (None, drawn)
    )
    assert not np.allclose(quiet, drawn, atol=0.01)
    for wrong in ([[0.0, 0.0]], [[0.0], [0.0]], [[0.0] * 3] * 2):
        assert "2 rows of 2" in refused(act(engine, noise(2, 0), noise=wrong)).detail


def test_rows_that_are_reset_begin_anew(engine: Engine) -> None:
    first = done(act(engine, noise(2, 0)))
    session = first.header["session_id"]
    done(act(engine, noise(2, 1), session_id=session))
    again = done(act(engine, noise(2, 0), session_id=session, reset=[True, False]))
    assert np.allclose(again.header["actions"][0], first.header["actions"][0], atol=0.01)
    assert not np.allclose(again.header["actions"][1], first.header["actions"][1], atol=0.01)


def test_larger_pictures_are_averaged_down_and_others_refused(engine: Engine) -> None:
    large = noise(1, 3, 4 * SIZE)
    small = cv2.resize(large[0], (SIZE, SIZE), interpolation=cv2.INTER_AREA)[None]
    pair = [done(act(engine, f)).header["actions"] for f in (large, small)]
    assert pair[0] == pair[1]
    assert "16 pixels" in refused(act(engine, noise(1, 0, 8))).detail
    assert refused(act(engine, np.zeros((1, 16, 20, 3), np.uint8))).status == 422
    assert refused(act(engine, noise(2, 0), reset=[True])).status == 422
    assert refused(act(engine, noise(1, 0), policy="pi_9999999999999999")).status == 404


def test_a_policy_session_is_no_world_and_keeps_its_rows(engine: Engine) -> None:
    session = done(act(engine, noise(2, 0))).header["session_id"]
    assert refused(step(engine, session)).status == 409
    assert "began with 2" in refused(act(engine, noise(3, 0), session_id=session)).detail
    world = reset(engine, policy=POLICY).header["session_id"]
    assert refused(act(engine, noise(1, 0), session_id=world)).status == 409
