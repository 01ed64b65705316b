"""The report of a run: whole, true to the picks, and asking nothing of the network."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from tests import tiny
from typer.testing import CliRunner

from cryopick.cli import app
from cryopick.io.images.mrc import write_mrc
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks, concatenate
from cryopick.runs.metadata import RunMetadata, write_run_metadata

VOID = {"meta", "link", "img", "input", "path", "circle", "rect", "image", "use", "br"}


class Reader(HTMLParser):
    """The words of a page by section, and whether every element is closed."""

    def __init__(self):
        super().__init__()
        self.open, self.sections, self.links = [], {"": ""}, []
        self._title = ""

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("href", "src") and value]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("href", "src") and value]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "h2":
            self._title = data
            self.sections[data] = ""
        elif "style" not in self.open:
            self.sections[self._title] += f" {data}"


def read(page):
    reader = Reader()
    reader.feed(Path(page).read_text(encoding="utf-8"))
    reader.close()
    assert not reader.open
    return reader


def cryopick(*words, status=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result


@pytest.fixture
def picked(tmp_path, monkeypatch):
    """Picks of known worth: every particle, surely; as many places that are none, less so."""
    monkeypatch.chdir(tmp_path)
    Path("mics").mkdir()
    tiny.micrographs(Path("mics"), count=5)
    truth = read_picks(Path("labels.tsv"))
    rng = np.random.default_rng(0)
    away = rng.uniform(8, [100, 84], (len(truth), 2))
    wrong = Picks.from_columns([truth.micrographs[i] for i in truth.index], away)
    score = np.concatenate([rng.normal(4, 1, len(truth)), rng.normal(-4, 0.5, len(truth))])
    both = concatenate([truth, wrong])
    named = Picks.from_columns([both.micrographs[i] for i in both.index], both.xy_px, score)
    write_picks(named, Path("picks.star"))
    return tmp_path


ASKED = ("--diameter-ang", tiny.DIAMETER_ANG, "--device", "cpu", "-m", "mics")


def test_a_picking_is_told_and_judged(picked):
    cryopick("report", "picks.star", "--truth", "labels.tsv", *ASKED, "--radius-px", 4)

    page = read("picks.report.html")
    assert [*page.sections] == [
        "",
        "What was asked",
        "How good it is",
        "Scores",
        "Picks on each micrograph",
        "On the micrographs",
        "Picks one by one",
        "Where on the micrograph",
        "Once more",
    ]
    assert "60 picks on 5 micrographs" in page.sections[""]
    assert "60 picks against 30 known particles" in page.sections["How good it is"]
    assert "average precision then lies between" in page.sections["How good it is"]
    assert "left no record" in page.sections["Once more"]
    assert "Worst" in page.sections["On the micrographs"]


def test_a_page_asks_nothing_of_the_network_and_runs_nothing(picked):
    cryopick("report", "picks.star", *ASKED, "-o", "page.html")

    text = Path("page.html").read_text(encoding="utf-8")
    assert all(link.startswith(("data:", "#")) for link in read("page.html").links)
    assert "<script" not in text
    assert not re.search(r"@import|url\((?!#)", text)


def test_without_truth_the_threshold_is_even_odds_and_nothing_is_called_right(picked):
    cryopick("report", "picks.star", *ASKED)

    page = read("picks.report.html")
    assert "How good it is" not in page.sections
    assert "30 of 60 picks" in page.sections["Scores"].replace("\n", " ")
    assert "wrong" not in page.sections["On the micrographs"]


def test_the_command_and_what_it_took_are_told(picked):
    record = RunMetadata(
        command=["pick", "my mics", "-o", "picks.star"],
        folder=str(picked),
        micrographs=[f"mics/mic_{i}.mrc" for i in range(5)],
        seconds=12.0,
        peak_bytes=2_500_000_000,
        version="0.0.1",
    )
    write_run_metadata(record, Path("picks.run.json"))

    cryopick("report", "picks.star", "--diameter-ang", tiny.DIAMETER_ANG, "--device", "cpu")

    told = read("picks.report.html").sections["Once more"]
    assert "$ cryopick pick 'my mics' -o picks.star" in told.replace("\\\n    ", "")
    assert "12 s, 2.40 s a micrograph" in told
    assert "2.5 GB" in told


def test_a_training_is_told_with_curves_labels_and_held_out_picks(picked):
    cryopick(
        *("train", "-m", "mics", "-p", "labels.tsv", "-o", "a.safetensors"),
        *("--diameter-ang", tiny.DIAMETER_ANG, "--particles-per-micrograph", 9, "--width", 2),
        *("--steps", 4, "--checkpoint-every", 2, "--held-out-frac", 0.4),
        *("--device", "cpu"),
    )

    cryopick("report", "a.safetensors", "--device", "cpu")
    cryopick("report", "a.run", "--device", "cpu", "-o", "same.html")

    page = read("a.report.html")
    assert "18 labels on 3 micrographs" in page.sections["What was asked"]
    assert "over particles" in page.sections["What it learnt"]
    assert "against 12 known particles" in page.sections["How good it is"]
    assert "cryopick train -m mics" in page.sections["Once more"]
    assert read("same.html").sections == page.sections


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("report none.star", "none.star: no such table, model or folder"),
        ("report labels.tsv -m mics", "labels.tsv: a report needs picks with scores"),
        ("report picks.star -m mics", "nothing tells the particle's diameter; add --diameter-ang"),
        ("report picks.star --diameter-ang 135 -m other", "are not at hand"),
        ("report mics.safetensors", "no such table, model or folder"),
    ],
)
def test_a_run_that_cannot_be_told_says_what_is_missing(picked, words, message):
    Path("other").mkdir()
    write_mrc(Path("other/else.mrc"), tiny.blobs(1)[0], pixel_size_ang=(10.0, 10.0))

    result = cryopick(*words.split(), "--device", "cpu", status=1)

    assert message in result.stderr
    assert not Path("picks.report.html").exists()


def test_a_page_is_not_overwritten_unasked(picked):
    Path("page.html").write_text("mine")

    result = cryopick("report", "picks.star", *ASKED, "-o", "page.html", status=1)

    assert "exists already" in result.stderr
    assert Path("page.html").read_text() == "mine"
