"""The benchmark of foreign data on a tiny set of our own, with a stand-in for the peer."""

import importlib
import json
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
TINY = (
    *("--particles", 6, "--diameter-ang", 150, "--count", 2, "--pixel-size-ang", 4),
    *("--width-px", 256, "--height-px", 256),
)
STAND_IN = """#!{python}
import shutil, sys
from pathlib import Path
words = sys.argv[1:]
out = words[words.index("-o") + 1]
if words[0] in ("preprocess", "segment"):
    Path(out).mkdir(exist_ok=True)
else:  # half of the truth, as if those were the peer's picks
    lines = Path("{truth}").read_text().splitlines()
    rows = ["\\t".join(line.split("\\t")[:3]) + "\\t1" for line in lines[1::2]]
    Path(out).write_text("\\n".join(["image_name\\tx_coord\\ty_coord\\tscore", *rows]) + "\\n")
"""

pytestmark = pytest.mark.slow


@pytest.fixture
def foreign(monkeypatch):
    """The benchmark, which knows one more set."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    table = importlib.import_module("foreign")
    sets = importlib.import_module("foreign_sets")
    monkeypatch.setitem(sets.OWN_SETS, "own-tiny", TINY)
    yield table
    for name in ("foreign", "foreign_methods", "foreign_sets", "common"):
        sys.modules.pop(name, None)


def test_a_set_of_our_own_is_made_picked_and_shown_beside_the_peer_and_not_done_again(
    foreign, tmp_path, monkeypatch, capfd
):
    truth, topaz = tmp_path / "data" / "own-tiny" / "particles.tsv", tmp_path / "topaz"
    topaz.write_text(STAND_IN.format(python=sys.executable, truth=truth))
    topaz.chmod(0o755)
    monkeypatch.setattr(sys.modules["foreign_methods"], "TOPAZ", topaz)
    words = ["--sets", "own-tiny", "--factors", "1.5", "--out", str(tmp_path)]

    foreign.main(words)
    shown, done = capfd.readouterr()
    foreign.main(words)
    again, done_again = capfd.readouterr()

    records = [
        json.loads(path.read_text())
        for path in (tmp_path / "records").glob("*/*.json")
        if not path.name.endswith(".run.json")
    ]
    assert {(one["set"], one["method"]) for one in records} == {
        ("own-tiny", "given"),
        ("own-tiny", "peer"),
        ("own-tiny:x1.5", "given"),
    }
    ours = next(one for one in records if one["set"] == "own-tiny" and one["method"] == "given")
    assert ours["all"]["n_truth"] == len(truth.read_text().splitlines()) - 1
    assert ours["ap"] > 0.8  # six clean particles on each, which the general model finds
    rows = [line for line in shown.splitlines() if line.startswith("| own-tiny")]
    assert len(rows) == 2  # the comparison, and the wrong diameters
    assert f"{ours['ap']:.3f}" in rows[0]
    assert f"{ours['ap']:.3f}" in rows[1]
    assert again == shown
    assert " pick " in done
    assert " pick " not in done_again.replace("pick --help", "")
