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
from cryopick.report.pick_summary import ABOVE, BELOW
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
        "Individual picks",
        "Precision and recall",
        "Expected precision and recall",
        "Scores",
        "Picks on each micrograph",
        "Example micrographs",
        "Distribution across the micrograph",
        "Data and settings",
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


def test_without_truth_picks_are_not_evaluated_but_their_metrics_are_estimated(scored_picks):
    cryopick("report", "picks.star", *OPTIONS)

    page = parse("picks.report.html")
    assert "Precision and recall" not in page.sections
    assert "30 of 60 picks" in page.sections["Scores"].replace("\n", " ")
    assert "false" not in page.sections["Example micrographs"]
    number = r"\d\.\d\d \(\d\.\d\d to \d\.\d\d\)"
    interval = r"expected precision, \d\.\d\d to \d\.\d\d +\d\.\d\d"
    assert re.search(interval, re.sub(r"\s+", " ", page.sections[""]))
    expected = page.sections["Expected precision and recall"]
    row = rf"threshold of this report +−?\d+\.\d\d +30 +{number} +{number}"
    assert re.search(row, re.sub(r"\s+", " ", expected))
    low, high = map(int, re.search(r"95 %: (\d+) to (\d+)", expected).groups())
    assert low <= 30 <= high


def test_crops_on_both_sides_of_the_threshold_are_the_first_thing_shown(scored_picks):
    cryopick("report", "picks.star", *OPTIONS, "--threshold", 1)

    text = Path("picks.report.html").read_text(encoding="utf-8")
    assert "at or above the threshold of 1.00 (given with --threshold)" in text
    assert re.findall(r"<h[23]>([^<]*)", text)[:4] == [
        "Individual picks",
        ABOVE,
        BELOW,
        "Highest scores",
    ]


def test_each_pick_is_shown_once(scored_picks):
    cryopick("threshold", "picks.star", "--at", 0, "-o", "best.star")
    cryopick("report", "picks.star", *OPTIONS, "--threshold", 0)
    cryopick("report", "best.star", *OPTIONS)

    for name, titles in (
        ("picks", [ABOVE, BELOW, "Highest scores", "Lowest scores"]),
        ("best", [ABOVE, "Highest scores"]),
    ):
        text = Path(f"{name}.report.html").read_text(encoding="utf-8")
        assert re.findall(r"<h3>([^<]*)", text)[: len(titles)] == titles
        crops = re.findall(r'src="(data:[^"]*)" alt="pick', text)
        assert len(crops) == len(set(crops)) == 12 * len(titles)
        assert ("no picks below the threshold" in text) == (name == "best")


def test_a_report_without_particles_says_that_one_pick_of_each_micrograph_is_selected(scored_picks):
    rng = np.random.default_rng(3)
    micrographs = [str(path) for path in sorted(Path("mics").glob("*.mrc"))]
    tail = [
        Picks.for_micrograph(
            name, rng.uniform(8, 84, (500, 2)), -9 + 3.2 * np.abs(rng.normal(size=500))
        )
        for name in micrographs
    ]
    write_picks(concatenate(tail), Path("empty.star"))

    cryopick("report", "empty.star", *OPTIONS)

    page = parse("empty.report.html")
    assert "automatic: at most one pick of each micrograph" in page.sections[""]
    assert "expected precision" not in page.sections[""]  # nothing is promised
    assert "No micrograph clearly shows" in page.sections["Expected precision and recall"]


def test_nothing_is_estimated_from_a_table_whose_low_scores_were_removed(scored_picks):
    cryopick("threshold", "picks.star", "--at", 0, "-o", "best.star")
    cryopick("report", "best.star", *OPTIONS)

    page = parse("best.report.html")
    assert "cannot be estimated" in page.sections["Expected precision and recall"]
    assert "expected" not in page.sections[""]
    assert "30 of 30 picks" in page.sections["Scores"].replace("\n", " ")


def test_labels_are_counted_on_the_micrographs_that_have_them(scored_picks):
    lines = Path("labels.tsv").read_text().splitlines(keepends=True)
    few = [lines[0], *(line for line in lines[1:] if line.startswith(("mic_0", "mic_1")))]
    Path("few.tsv").write_text("".join(few))
    result = cryopick(
        *("train", "-m", "mics", "-p", "few.tsv", "-o", "a.safetensors"),
        *("--diameter-ang", tiny.DIAMETER_ANG, "--particles-per-micrograph", 9, "--width", 2),
        *("--steps", 2, "--init", "random", "--device", "cpu"),
    )
    cryopick("report", "a.safetensors", "--device", "cpu")

    page = parse("a.report.html")
    assert "trained on 12 labels on 2 of 5 micrographs" in result.stderr
    assert "12 labels on 2 of 5 micrographs" in page.sections["Data and settings"]
    assert "on the 5 micrographs that it was trained on" in page.sections[""]


def test_the_command_its_run_time_and_its_memory_are_reported(scored_picks):
    metadata = RunMetadata(
        command=["pick", "my mics", "-o", "picks.star"],
        folder=str(scored_picks),
        micrographs=[f"mics/mic_{i}.mrc" for i in range(5)],
        seconds=12.0,
        peak_bytes=2_500_000_000,
        version="0.0.1",
        polarity="dark",
        checksums={"model": "93b9", "micrographs": "0a1b"},
    )
    write_run_metadata(metadata, Path("picks.run.json"))

    cryopick("report", "picks.star", "--diameter-ang", tiny.DIAMETER_ANG, "--device", "cpu")

    sections = parse("picks.report.html").sections
    text = sections["Reproduce this run"]
    assert "$ cryopick pick 'my mics' -o picks.star" in text.replace("\\\n    ", "")
    assert "12 s (2.40 s per micrograph)" in text
    assert "2.5 GB" in text
    assert "Contrast of the particles dark" in " ".join(sections["Data and settings"].split())
    assert "model  93b9\nmicrographs  0a1b" in sections["Data and settings"]


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
            "were not found or cannot be read; give their location with -m",
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


@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_micrograph_that_cannot_be_read_is_left_out(scored_picks, damage):
    path = Path("mics/mic_2.mrc")
    path.write_bytes(path.read_bytes()[:3000]) if damage == "truncated" else path.unlink()

    result = cryopick("report", "picks.star", *OPTIONS)

    assert "skipped 1 micrograph of picks.star without a file that can be read" in result.stderr
    page = Path("picks.report.html").read_text(encoding="utf-8")
    assert "without a file that can be read: 1 micrograph of the table" in page


def test_a_page_is_overwritten_only_on_request(scored_picks):
    Path("page.html").write_text("mine")

    result = cryopick("report", "picks.star", *OPTIONS, "-o", "page.html", status=1)

    assert "already exists" in result.stderr
    assert Path("page.html").read_text() == "mine"
