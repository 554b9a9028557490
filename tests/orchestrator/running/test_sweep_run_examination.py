"""The examination at the end of whole sweeps through the command."""

from __future__ import annotations

import re
import shutil
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from tests.sweep_process import (
    FINISHED_LINE,
    RESUME,
    SMALL,
    Sweep,
    control_c,
    processes_below,
    read_until,
    reader,
    wait_gone,
    write_corpus,
)

EXAMINED = {"language_model": 2, "vanilla": 2, "cyclical": 2}
LONG = "final_iw_samples: 40000\nfinal_iw_tolerance: 0"


def test_a_line_for_each_examined_run(small: tuple[Sweep, list[str]]) -> None:
    _, lines = small
    examined = [line for line in lines if line.startswith("examined [")]
    assert [line.partition("]")[0] for line in examined] == [f"examined [{n}/6" for n in range(1, 7)]
    variants = [match[1] for line in examined if (match := re.search(r"\] (\w+) .*: IW-NLL \d", line))]
    assert Counter(variants) == EXAMINED
    last_trial = max(number for number, line in enumerate(lines) if FINISHED_LINE.match(line))
    assert lines.index(examined[0]) > last_trial


def test_examined_figures_are_everywhere(small: tuple[Sweep, list[str]]) -> None:
    """All seeds of what is in the table, texts and probe of the first seed of those with a latent."""
    sweep, _ = small
    trials = sweep.trials("s").set_index("trial_id")
    mlflow = reader(sweep)
    efforts = Counter((row.variant, row.iw_samples, row.iw_sentences) for row in trials.itertuples())
    assert {efforts[variant, "20.0", "5.0"] for variant in EXAMINED} == {2}
    assert efforts["cyclical", "25.0", "6.0"] == 2  # those of the search
    for trial_id, run in mlflow.trials().items():
        figures, row = run.data.metrics, trials.loc[trial_id]
        if row["failure"]:
            continue
        assert figures["test/iw_nll"] == pytest.approx(float(row["iw_nll"]), rel=1e-6)
        assert figures["test/iw_samples"] == float(row["iw_samples"])
        assert figures["test/iw_nll"] <= figures["test/nll_plus_kl"] + 3.0
        speaks = (
            row["variant"] != "language_model"
            and row["iw_samples"] == "20.0"
            and (row["seed"] == {"vanilla": 0, "cyclical": 1}[row["variant"]])
        )
        assert ("probe/accuracy" in figures) == speaks
        files = {file.path for file in mlflow.client.list_artifacts(run.info.run_id)}
        tables = {"samples.json", "reconstructions.json", "interpolations.json"}
        assert files == (tables if speaks else set())
        if speaks:
            assert {figures[f"probe/{name}"] for name in ("test_sentences", "train_sentences")} == {6, 48}
    folder = sweep.folder / "sweeps" / "s"
    texts = (folder / "texts.md").read_text(encoding="utf-8")
    assert texts.count("\n### Reconstructions\n") == 2
    assert "texts.md" in mlflow.artifacts()
    frontier = pd.read_csv(folder / "frontier.csv")
    known = frontier[frontier["runs"] == 2]
    assert known["iw_gain"].notna().all()
    assert known["iw_gain_se"].notna().sum() == len(known) - 1  # the baseline's own is nothing to be sure of
    assert "IW-NLL: 20 samples of z, 5 test sentences" in (folder / "frontier.md").read_text()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_control_c_in_the_examination_and_resume(tmp_path: Path) -> None:
    write_corpus(tmp_path / "text.txt")
    (tmp_path / "spec.yaml").write_text(SMALL.replace("final_iw_samples: 20", LONG))
    sweep = Sweep(tmp_path)
    with sweep.started("spec.yaml", "--name", "s", "--max-concurrent", "1") as process:
        read_until(process, lambda line: line.startswith("examined [1/6]"))
        below = processes_below(process.pid)
        control_c(process)
        output, errors = process.communicate(timeout=120)
    wait_gone(below)
    assert process.returncode == 130
    assert RESUME.fullmatch(errors)
    assert "vs baseline" in output  # the report, with what is known
    assert reader(sweep).parent().info.status == "KILLED"
    trials = sweep.trials("s").set_index("trial_id")
    early = Counter(trials["iw_samples"])["40000.0"]
    assert 1 <= early < 6

    waiting = trials[(trials["iw_samples"] == "25.0") & ~trials["kind"].eq("trial")]
    lost = str(waiting.index[0])
    for checkpoint in (tmp_path / "sweeps" / "s" / "tune").glob(f"*{lost}*/checkpoint_*"):
        shutil.rmtree(checkpoint)
    done = sweep.run("--resume", "s")
    assert done.returncode == 0
    assert re.fullmatch(rf"no model of \w+, {lost}: .*training\.pt'\n", done.stderr)
    assert done.stdout.count("\nexamined [") == 6 - early - 1
    assert len(re.findall(r"^not examined: .* keeps its figures: .*training\.pt'$", done.stdout, re.M)) == 1
    late = sweep.trials("s").set_index("trial_id")
    assert Counter(late["iw_samples"])["40000.0"] == 5
    assert late.loc[lost, "iw_nll"] == trials.loc[lost, "iw_nll"]
    assert reader(sweep).parent().info.status == "FINISHED"
