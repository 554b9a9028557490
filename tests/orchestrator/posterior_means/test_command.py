"""The posterior mean space: what its figures show, and the command that draws it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib import image
from typer.testing import CliRunner

from orchestrator.posterior_means import html as posterior_means_html
from orchestrator.posterior_means import png as posterior_means_png
from orchestrator.posterior_means.__main__ import app
from orchestrator.posterior_means.plan import SETTINGS, published_variant
from orchestrator.posterior_means.view import View, figures, verdict
from tests.paths import ROOT
from tests.sweep_process import control_c, processes_below, read_until, wait_gone
from trainables.training.posterior_means import MeanSpace

MODEL_N = np.array([-1.2, -0.4, 0.5, 1.1])
SMALL = ["--points", "20", "--set", "inner_limit=3", "--set", "hidden_size=8"]


def space(update: int, encoder_N: np.ndarray, model_N: np.ndarray = MODEL_N) -> MeanSpace:
    return MeanSpace(update, model_N, encoder_N, kl=0.25, nll=40.0, quadrature_error=1e-5)


def seen(updates: range = range(0, 401, 20)) -> View:
    spaces = {
        "vanilla": [space(update, np.zeros(4)) for update in updates],
        "aggressive": [space(update, 0.9 * MODEL_N + 0.001 * update) for update in updates],
    }
    return View(spaces, np.array([0, 1, 1, 2], np.int32), ("left", "middle", "right"))


def command(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    with started(*arguments, folder=folder) as process:
        output, errors = process.communicate(timeout=800)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


@contextmanager
def started(*arguments: str, folder: Path) -> Iterator[subprocess.Popen[str]]:
    """The command in a process group of its own, without a terminal; killed with the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "orchestrator.posterior_means", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "100", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


# -- what is shown ---------------------------------------------------------------------------------


def test_the_columns_are_ever_further_apart() -> None:
    assert seen().columns == [0, 20, 40, 80, 180, 400]
    assert seen(range(0, 81, 20)).columns == [0, 20, 40, 60, 80]
    assert seen(range(1)).columns == [0]


def test_the_axes_hold_every_point() -> None:
    assert seen().limit == 1.5  # 0.9 · 1.1 + 0.4 = 1.39 is the farthest
    far = View({"vanilla": [space(0, np.array([0.0, 0.0, 0.0, -2.1]))]}, np.zeros(4, np.int32), ("one",))
    assert far.limit == 2.5
    still = View({"vanilla": [space(0, np.zeros(4), np.zeros(4))]}, np.zeros(4, np.int32), ("one",))
    assert still.limit == 0.5


def test_tables() -> None:
    summary, points = seen().summary(), seen().points()
    assert len(summary) == 2 * 21
    last = summary[(summary["variant"] == "aggressive") & (summary["update"] == 400)].iloc[0]
    assert last["model_spread"] == pytest.approx(MODEL_N.std())
    assert last["encoder_spread"] == pytest.approx(0.9 * MODEL_N.std())
    assert last["correlation"] == pytest.approx(1.0)
    assert last["kl"] == 0.25
    assert len(points) == 2 * 21 * 4
    assert points["component"].tolist()[:4] == ["left", "middle", "middle", "right"]
    assert points["model_mean"].tolist()[-4:] == MODEL_N.tolist()


@pytest.mark.parametrize(
    ("found", "judgement"),
    [
        (space(9, np.zeros(4)), "inference lags behind the model"),
        (space(9, 0.4 * MODEL_N), "inference lags behind the model"),
        (space(9, 0.6 * MODEL_N), "inference keeps up with the model"),
        (space(9, MODEL_N + 1.0), "inference lags behind the model"),
        (space(9, MODEL_N, 0.01 * MODEL_N), "the model does not use z"),
    ],
)
def test_verdicts(found: MeanSpace, judgement: str) -> None:
    assert verdict("vanilla", found).startswith(f"vanilla: {judgement}: sd μ_θ ")


def test_a_constant_has_no_correlation() -> None:
    assert figures(space(9, np.zeros(4))) == "sd μ_θ 0.87, sd μ_φ 0.00, correlation –, KL 0.25"
    assert "correlation −1.00" in figures(space(9, -MODEL_N))


# -- the picture and the page ----------------------------------------------------------------------


def test_the_picture(tmp_path: Path) -> None:
    figure = posterior_means_png.picture(seen(), "a title")
    assert len(figure.axes) == 2 * 6
    assert [axes.get_title() for axes in figure.axes[:6]] == [
        f"{n} updates" for n in (0, 20, 40, 80, 180, 400)
    ]
    dots = figure.axes[-1].collections[0].get_offsets()
    assert np.asarray(dots) == pytest.approx(np.stack([MODEL_N, 0.9 * MODEL_N + 0.4], 1))
    diagonal = figure.axes[-1].lines[1]
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata()) == [-1.5, 1.5]
    posterior_means_png.write(seen(), "a title", tmp_path / "new" / "means.png")
    height, width, _ = image.imread(tmp_path / "new" / "means.png").shape
    assert width > 2 * height


def test_the_page_moves_every_dot(tmp_path: Path) -> None:
    figure = posterior_means_html.page_figure(seen(), "a title")
    assert [frame.name for frame in figure.frames] == [f"{n}" for n in range(0, 401, 20)]
    assert [step.label for step in figure.layout.sliders[0].steps] == [frame.name for frame in figure.frames]
    frame = figure.frames[10]
    assert [figure.data[index].name for index in frame.traces] == [
        f"z around {name}" for name in ("left", "middle", "right") * 2
    ]
    ends = [np.array(trace.y) for trace in frame.data[3:]]
    assert np.concatenate(ends) == pytest.approx(0.9 * MODEL_N + 0.2, abs=1e-4)
    assert "vanilla" in frame.layout.annotations[0].text
    posterior_means_html.write(seen(), "a <title>", tmp_path / "means.html")
    page = (tmp_path / "means.html").read_text(encoding="utf-8")
    assert "<title>a &lt;title&gt;</title>" in page
    assert re.search(r"<(script|link)[^>]+(src|href)=", page) is None


# -- settings --------------------------------------------------------------------------------------


def test_settings_are_the_papers_and_the_users() -> None:
    variant = published_variant("aggressive", 3, {"learning_rate": 0.5, "cycles": 4})
    knobs = variant.knobs()
    assert {name: knobs[name] for name in SETTINGS} == {**SETTINGS, "learning_rate": 0.5}
    assert knobs["aggressive_epochs"] == 3
    assert published_variant("vanilla", 1, {"optimizer": "adam"}).optimizer.part_name == "adam"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--epochs", "0"], "--epochs must be >= 1, got 0"),
        (["--every", "-3"], "--every must be >= 1, got -3"),
        (["--sentences", "1"], "--sentences must be >= 2, got 1"),
        (["--points", "2001"], "--points must be <= 2,000, the test sentences, got 2001"),
        (["--seed", "-1"], "--seed must be in [0, 2^32), got -1"),
        (["--output-range", "-1"], "output_range of an oracle is finite and not negative, got -1.0"),
        (["--variants", "vanila"], "no variant 'vanila'; did you mean 'vanilla'?"),
        (["--variants", "vanilla,vanilla"], "--variants must be distinct, got vanilla,vanilla"),
        (["--variants", "language_model"], "language_model: latent must be gaussian, got 'none'"),
        (["--set", "latent_size=2"], "latent_size must be 1, got 2"),
        (["--set", "dropout"], "--set takes KNOB=VALUE, got 'dropout'"),
        (["--set", "cycles=3"], "--set: no knob 'cycles' in vanilla, aggressive; "),
        (["--set", "dropout=1"], "dropout must be in [0, 1), got 1.0"),
        (["--out", "a_file"], "--out must be a folder to write to, got 'File exists': a_file"),
    ],
)
def test_a_mistake_is_told_in_a_line(
    arguments: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a_file").touch()
    if "--sentences" not in arguments:
        arguments = [*arguments, "--sentences", "20"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1
    assert not Path("posterior_means").exists()


# -- the command -----------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command(tmp_path: Path) -> None:
    done = command("--sentences", "100", "--every", "3", *SMALL, folder=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    looks = re.findall(r"^(\w+), (\d) of 7 updates: sd μ_θ .+ KL ", done.stdout, re.MULTILINE)
    assert sorted(looks) == sorted((name, n) for name in ("vanilla", "aggressive") for n in "0367")
    assert re.search(r"^after 7 updates, 20 test sentences:\n• vanilla: .+", done.stdout, re.MULTILINE)
    folder = tmp_path / "posterior_means"
    written = ["points.csv", "posterior_means.html", "posterior_means.png", "summary.csv"]
    assert sorted(path.name for path in folder.iterdir()) == written
    assert all(f"posterior_means/{name}" in done.stdout for name in written)
    summary = pd.read_csv(folder / "summary.csv")
    assert summary["update"].tolist() == [0, 3, 6, 7] * 2
    points = pd.read_csv(folder / "points.csv")
    spread = points[(points["variant"] == "vanilla") & (points["update"] == 7)]["model_mean"].std(ddof=0)
    assert spread == pytest.approx(
        summary.query("variant == 'vanilla' and update == 7")["model_spread"].item()
    )


@pytest.mark.slow
def test_control_c_leaves_nothing_behind(tmp_path: Path) -> None:
    with started("--epochs", "999", "--every", "5", *SMALL, folder=tmp_path) as process:
        read_until(process, lambda line: line.startswith("vanilla, 5 of"))
        children = processes_below(process.pid)
        assert sum("multiprocessing.spawn" in command for command in children.values()) == 2
        control_c(process)
        _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (130, "interrupted; nothing was written\n")
    wait_gone(children)
    assert list((tmp_path / "posterior_means").iterdir()) == []


@pytest.mark.slow
def test_a_training_that_diverges_ends_the_command(tmp_path: Path) -> None:
    arguments = ["--variants", "vanilla", "--sentences", "100", "--set", "learning_rate=1e30"]
    done = command(*arguments, *SMALL[:2], folder=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: vanilla: loss not finite or beyond hope in epoch 1")
    assert done.stderr.count("\n") == 1


# -- the phenomenon --------------------------------------------------------------------------------


@pytest.mark.slow
def test_joint_training_lags_and_aggressive_training_does_not(tmp_path: Path) -> None:
    done = command("--sentences", "1600", "--every", "50", "--points", "200", folder=tmp_path)
    assert done.returncode == 0
    summary = pd.read_csv(tmp_path / "posterior_means" / "summary.csv")
    last = summary[summary["update"] == 100].set_index("variant")
    assert summary.groupby("variant")["model_spread"].max()["vanilla"] > 0.1
    assert last.loc["vanilla", "model_spread"] > 0.05
    assert last.loc["vanilla", "encoder_spread"] < 0.02
    assert last.loc["aggressive", "correlation"] > 0.9
    assert last.loc["aggressive", "distance"] < 0.5 * last.loc["aggressive", "model_spread"]
    assert last.loc["aggressive", "kl"] > 0.3
