"""`foglab run-policy`: an exported policy in any Gymnasium environment."""

import statistics
import tempfile
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table

from core.data.video import write_mp4
from foglab.client import ServiceClient, ServiceError
from foglab.terminal import Place, emit, err, place


def run_policy(
    context: typer.Context,
    policy: Annotated[
        str, typer.Argument(help="Export: folder, zip or id (ex_…); or id of a policy (pi_…)")
    ],
    env: Annotated[
        str, typer.Option(help="push_disc, push_t, module:Class, or an id that Gymnasium knows")
    ],
    episodes: Annotated[int, typer.Option(min=1)] = 10,
    seed: Annotated[int, typer.Option(min=0, help="Same seed, same starts")] = 0,
    max_steps: Annotated[int | None, typer.Option(min=1, help="Cut episodes off")] = None,
    format: Annotated[
        str | None, typer.Option(help="onnx, torch or safetensors; what is there if none")
    ] = None,
    image_key: Annotated[
        str | None, typer.Option(help="Part of the observation that is the picture")
    ] = None,
    scale_actions: Annotated[
        bool, typer.Option(help="Stretch actions from [-1, 1] to the environment's bounds")
    ] = False,
    sample: Annotated[
        bool, typer.Option(help="Draw actions, as in training, in place of the likeliest ones")
    ] = False,
    video: Annotated[Path | None, typer.Option(help="mp4 of the first episode")] = None,
) -> None:
    """Run a policy outside: frames in, actions out, no world model. Prints returns and success."""
    # Loaded by name: other commands need neither torch nor an environment.
    outside = import_module("core.evaluation.outside")
    with tempfile.TemporaryDirectory(prefix="foglab-policy-") as scratch:
        runner = _open(place(context), policy, format, Path(scratch))
        world = outside.make_env(env, runner.config["image_size"])
        played = outside.run_policy(
            runner,
            world,
            episodes,
            seed,
            max_steps=max_steps,
            image_key=image_key,
            scale_actions=scale_actions,
            sample=sample,
            keep_frames=int(video is not None),
        )
        with Progress(console=err, transient=True) as bar:
            found = list(bar.track(played, total=episodes, description="Playing"))
        rate = world.metadata.get("render_fps") or runner.config.get("fps") or 10
        world.close()
    if video is not None:
        import numpy as np

        write_mp4(video, np.stack(found[0].frames), rate)
    told = summary(policy, env, runner.format, found)
    emit(context, told, _table(told), *([f"{video}  first episode"] if video is not None else []))


def summary(policy: str, env: str, format: str, episodes: list[Any]) -> dict[str, Any]:
    """Returns, lengths and successes, with their means."""
    returns = [e.reward for e in episodes]
    success = [e.success for e in episodes]
    judged = [s for s in success if s is not None]
    return {
        "policy": policy,
        "env": env,
        "format": format,
        "episodes": len(episodes),
        "mean_return": statistics.fmean(returns),
        "success": sum(judged) / len(judged) if judged else None,
        "returns": returns,
        "steps": [e.steps for e in episodes],
        "successes": success,
    }


def _open(where: Place, policy: str, format: str | None, scratch: Path) -> Any:
    runners = import_module("core.policy.runners")
    path = Path(policy)
    if path.is_dir():
        if (path / "local").is_dir():
            return runners.open_model(path)
        return runners.open_export(path, format)
    if path.is_file():
        return runners.open_export(_unpacked(path, scratch), format)
    if policy.startswith("ex_"):
        with where.client() as client:
            found = client.download_export(policy, scratch / "export.zip")
        return runners.open_export(_unpacked(found, scratch), format)
    if policy.startswith("pi_"):
        with where.client() as client:
            model = client.model(policy)
            dataset = (model.spec or {}).get("dataset")
            shown = _pictures(client, dataset) if dataset else {}
            found = client.download_model(policy, scratch / "policy.zip")
        return runners.open_model(_unpacked(found, scratch), {"pictures": shown})
    raise ValueError(f"{policy!r} is no folder, no zip, and no id of an export or a policy")


def _pictures(client: ServiceClient, dataset: str) -> dict[str, Any]:
    """What ingest did to the pictures that the policy learned from."""
    try:
        ingest = (client.dataset(dataset).meta or {}).get("spec", {})
    except ServiceError as error:
        if error.status != 404:
            raise
        err.print(f"{dataset} is gone: frames are resized only, not cropped or flipped")
        return {}
    return {k: ingest[k] for k in ("crop", "flip", "fit") if k in ingest}


def _unpacked(path: Path, scratch: Path) -> Path:
    """The one folder in a zip that the service made."""
    try:
        with zipfile.ZipFile(path) as archive:
            archive.extractall(scratch / "unpacked")  # which keeps names inside the folder
    except zipfile.BadZipFile:
        raise ValueError(f"{path} is not a zip that `foglab policy export` wrote") from None
    inside = [p for p in (scratch / "unpacked").iterdir() if p.is_dir()]
    if len(inside) != 1:
        raise ValueError(f"{path} does not hold one folder with a policy")
    return inside[0]


def _table(told: dict[str, Any]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("episode", "return", "steps", "success"):
        table.add_column(heading, justify="right")
    rows = zip(told["returns"], told["steps"], told["successes"], strict=True)
    for n, (value, steps, success) in enumerate(rows):
        table.add_row(str(n), f"{value:.3f}", str(steps), _yes(success))
    share = "" if told["success"] is None else f"{100 * told['success']:.0f} %"
    table.add_row("mean", f"{told['mean_return']:.3f}", "", share, style="bold")
    return table


def _yes(success: bool | None) -> str:
    return "" if success is None else "yes" if success else "no"
