"""Ids that are filled in on delivery."""

from orchestrator.tracking.delivery.placeholders import EXPERIMENT, filled, of_run


def test_ids_take_the_place_of_placeholders() -> None:
    text = f"[a](#/experiments/{EXPERIMENT}/runs/{of_run('t0')}?x) {of_run('')} {of_run('t' * 40)} plain"
    ids = {"t0": "0" * 32, "": "1" * 32, "t" * 40: "2" * 32}
    whole = filled(text, "7", ids.__getitem__)
    assert whole == f"[a](#/experiments/7/runs/{'0' * 32}?x) {'1' * 32} {'2' * 32} plain"
    assert len(whole) <= len(text)
    assert len(of_run("t0")) == len(of_run("")) == 32
    assert filled("no ids", "7", ids.__getitem__) == "no ids"
