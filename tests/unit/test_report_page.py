"""Report of a run: complete, consistent with the picks, and independent of the network."""

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


class PageParser(HTMLParser):
    """Collects the texts of a page by section, and checks that every element is closed."""

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


def parse(page):
    parser = PageParser()
    parser.feed(Path(page).read_text(encoding="utf-8"))
    parser.close()
    assert not parser.open
    return parser


def cryopick(*words, status=0):
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == status, result.output
    return result


@pytest.fixture
def scored_picks(tmp_path, monkeypatch):
    """Every particle with a high score, and as many false picks with low scores."""
    monkeypatch.chdir(tmp_path)
    Path("mics").mkdir()
    tiny.micrographs(Path("mics"), count=5)
    truth = read_picks(Path("labels.tsv"))
    rng = np.random.default_rng(0)
    away = rng.uniform(8, [100, 84], (len(truth), 2))
    wrong = Picks.from_columns([truth.micrographs[i] for i in truth.index], away)
    score = np.concatenate([rng.normal(4, 1, len(truth)), rng.normal(-4, 0.5, len(truth))])
    both = concatenate([truth, wrong])
    scored = Picks.from_columns([both.micrographs[i] for i in both.index], both.xy_px, score)
    write_picks(scored, Path("picks.star"))
    return tmp_path


OPTIONS = ("--diameter-ang", tiny.DIAMETER_ANG, "--device", "cpu", "-m", "mics")


def test_a_pick_run_with_truth_is_evaluated(scored_picks):
    cryopick("report", "picks.star", "--truth", "labels.tsv", *OPTIONS, "--radius-px", 4)

    page = parse("picks.report.html")
    assert [*page.sections] == [
        "",
        "Data and settings",
        "Precision and recall",
        "Scores",
        "Picks on each micrograph",
        "Example micrographs",
        "Individual picks",
        "Distribution across the micrograph",
        "Reproduce this run",
    ]
    assert "60 picks on 5 micrographs" in page.sections[""]
    assert "60 picks with 30 true particles" in page.sections["Precision and recall"]
    assert "95 % bootstrap confidence interval" in page.sections["Precision and recall"]
    assert "No metadata file" in page.sections["Reproduce this run"]
    assert "Worst" in page.sections["Example micrographs"]


def test_a_page_loads_nothing_and_runs_no_script(scored_picks):
    cryopick("report", "picks.star", *OPTIONS, "-o", "page.html")

    text = Path("page.html").read_text(encoding="utf-8")
    assert all(link.startswith(("data:", "#")) for link in parse("page.html").links)
    assert "<script" not in text
    assert not re.search(r"@import|url\((?!#)", text)


def test_without_truth_the_threshold_is_zero_and_picks_are_not_evaluated(scored_picks):
    cryopick("report", "picks.star", *OPTIONS)

    page = parse("picks.report.html")
    assert "Precision and recall" not in page.sections
    assert "30 of 60 picks" in page.sections["Scores"].replace("\n", " ")
    assert "false" not in page.sections["Example micrographs"]


def test_the_command_its_run_time_and_its_memory_are_reported(scored_picks):
    metadata = RunMetadata(
        command=["pick", "my mics", "-o", "picks.star"],
        folder=str(scored_picks),
        micrographs=[f"mics/mic_{i}.mrc" for i in range(5)],
        seconds=12.0,
        peak_bytes=2_500_000_000,
        version="0.0.1",
    )
    write_run_metadata(metadata, Path("picks.run.json"))

    cryopick("report", "picks.star", "--diameter-ang", tiny.DIAMETER_ANG, "--device", "cpu")

    text = parse("picks.report.html").sections["Reproduce this run"]
    assert "$ cryopick pick 'my mics' -o picks.star" in text.replace("\\\n    ", "")
    assert "12 s (2.40 s per micrograph)" in text
    assert "2.5 GB" in text


def test_a_training_run_is_reported_with_curves_labels_and_held_out_picks(scored_picks):
    cryopick(
        *("train", "-m", "mics", "-p", "labels.tsv", "-o", "a.safetensors"),
        *("--diameter-ang", tiny.DIAMETER_ANG, "--particles-per-micrograph", 9, "--width", 2),
        *("--steps", 4, "--checkpoint-every", 2, "--held-out-frac", 0.4),
        *("--init", "random", "--device", "cpu"),
    )

    cryopick("report", "a.safetensors", "--device", "cpu")
    cryopick("report", "a.run", "--device", "cpu", "-o", "same.html")

    page = parse("a.report.html")
    assert "18 labels on 3 micrographs" in page.sections["Data and settings"]
    assert "of particles" in page.sections["Training"]
    assert "with 12 true particles" in page.sections["Precision and recall"]
    assert "cryopick train -m mics" in page.sections["Reproduce this run"]
    assert parse("same.html").sections == page.sections


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("report none.star", "none.star: no such table, model or folder"),
        ("report labels.tsv -m mics", "labels.tsv: a report needs picks with scores"),
        ("report picks.star -m mics", "the particle diameter is unknown; add --diameter-ang"),
        (
            "report picks.star --diameter-ang 135 -m other",
            "were not found; give their location with -m",
        ),
        ("report mics.safetensors", "no such table, model or folder"),
    ],
)
def test_the_error_of_an_incomplete_run_says_what_is_missing(scored_picks, words, message):
    Path("other").mkdir()
    write_mrc(Path("other/else.mrc"), tiny.blobs(1)[0], pixel_size_ang=(10.0, 10.0))

    result = cryopick(*words.split(), "--device", "cpu", status=1)

    assert message in result.stderr
    assert not Path("picks.report.html").exists()


def test_a_page_is_overwritten_only_on_request(scored_picks):
    Path("page.html").write_text("mine")

    result = cryopick("report", "picks.star", *OPTIONS, "-o", "page.html", status=1)

    assert "already exists" in result.stderr
    assert Path("page.html").read_text() == "mine"
