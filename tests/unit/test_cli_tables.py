"""The commands on pick tables other than `convert`: threshold, combine, split, evaluate, info."""

import json
from pathlib import Path

import numpy as np
import pytest

from cryopick.cli.tables import align_names
from cryopick.io.images.mrc import write_mrc
from cryopick.io.inputs import find_micrographs
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "empiar10017"


def write(name, rows, *, score=True):
    columns = ["image_name", "x_coord", "y_coord", *(["score"] if score else [])]
    lines = [columns, *([str(v) for v in row] for row in rows)]
    Path(name).write_text("".join("\t".join(line) + "\n" for line in lines))


def read(name):
    picks = read_picks(Path(name))
    names = [picks.micrographs[i] for i in picks.index]
    return [(n, *xy) for n, xy in zip(names, picks.xy_px.tolist(), strict=True)]


def noise(height=8):
    return np.random.default_rng(0).normal(size=(height, 8)).astype(np.float32)


def test_threshold_names_nested_sets_by_their_thresholds(run_words):
    write("in.tsv", [("a", i, 0, float(i)) for i in range(5)])

    run_words("threshold in.tsv -o sure.tsv --at 1.5 --at 3")
    run_words("threshold in.tsv -o best.tsv --keep 2")

    assert [x for _, x, _ in read("sure_at1.5.tsv")] == [2.0, 3.0, 4.0]
    assert [x for _, x, _ in read("sure_at3.tsv")] == [3.0, 4.0]
    assert [x for _, x, _ in read("best.tsv")] == [3.0, 4.0]


def test_random_sets_are_reproducible_nested_and_independent_of_the_scores(run_words):
    write("in.tsv", [("a", i, 0, float(i)) for i in range(40)])
    write("bare.tsv", [("a", i, 0) for i in range(40)], score=False)

    run_words("threshold in.tsv -o r.tsv --random 5 --random 20 --seed 1 --seed 2 --seed 3")
    run_words("threshold bare.tsv -o bare5.tsv --random 5 --seed 1")

    sets = {(n, s): read(f"r_random{n}_seed{s}.tsv") for n in (5, 20) for s in (1, 2, 3)}
    for (count, seed), rows in sets.items():
        assert len(set(rows)) == count
        assert set(sets[5, seed]) < set(sets[20, seed])
    assert len({tuple(sets[20, seed]) for seed in (1, 2, 3)}) == 3
    assert read("bare5.tsv") == sets[5, 1]
    means = [np.mean([x for _, x, _ in sets[20, seed]]) for seed in (1, 2, 3)]
    # 20 of 0 to 39: mean 19.5, standard deviation 1.85; the best would have 29.5
    assert max(abs(mean - 19.5) for mean in means) < 5 * 1.85


@pytest.mark.parametrize(
    "options", ["", "--at 1 --random 2", "--keep 1 --random 2", "--at 1 --seed 2"]
)
def test_threshold_needs_one_kind_of_set(run_words, options):
    write("in.tsv", [("a", 1, 0, 1.0)])

    run_words(f"threshold in.tsv -o out.tsv {options}", status=2)


def test_threshold_auto_keeps_the_best_expected_f1_and_reports_it(run_words):
    write("in.tsv", [("a", i, 0, score) for i, score in enumerate([8.0, 8.0, 0.0, -9.0, -9.0])])

    told = run_words("threshold in.tsv -o best.tsv --at auto").stderr

    assert [x for _, x, _ in read("best.tsv")] == [0.0, 1.0, 2.0]
    assert "at the automatic threshold: 3 picks of 5, scores of 0 and more; expected " in told
    assert "from scores alone: 3" in told
    assert "(95 %: " in told


def test_threshold_auto_can_be_combined_with_numbers(run_words):
    write("in.tsv", [("a", i, 0, score) for i, score in enumerate([8.0, 8.0, 0.0, -9.0, -9.0])])

    told = run_words("threshold in.tsv -o best.tsv --at auto --at 9").stderr

    assert "at threshold 9: 0 picks of 5" in told
    assert len(read("best_atauto.tsv")) == 3
    assert read("best_at9.tsv") == []
    assert "a number or auto; got 'low'" in " ".join(
        run_words("threshold in.tsv -o best.tsv --at low", status=2).stderr.split()
    )


def test_a_table_without_scores_cannot_be_cut(run_words):
    write("in.tsv", [("a", 1, 1)], score=False)

    result = run_words("threshold in.tsv -o out.tsv --at 0", status=1)

    assert "a threshold needs scores, but 1 of 1 picks have none" in result.stderr


@pytest.mark.parametrize(
    ("command", "expected"),
    [("union", [0.0, 50.0, 90.0]), ("intersect", [0.0]), ("subtract", [50.0])],
)
def test_combine_matches_micrographs_by_path_and_by_stem(run_words, command, expected):
    write_picks(
        Picks.for_micrograph("mics/a.mrc", np.array([[0.0, 0.0], [50.0, 0.0]])), Path("first.star")
    )
    write("second.tsv", [("a", 3, 4), ("a", 90, 0)], score=False)

    run_words(
        f"combine {command} first.star second.tsv -o out.star --radius-ang 10 --pixel-size-ang 2"
    )

    assert read("out.star") == [("mics/a.mrc", x, 0.0) for x in expected]


def test_combine_finds_the_consensus_of_most_tables(run_words):
    for name, rows in (("a", [(0, 0), (50, 0)]), ("b", [(2, 0)]), ("c", [(1, 0), (90, 0)])):
        write(f"{name}.tsv", [("mic", x, y) for x, y in rows], score=False)

    run_words("combine consensus a.tsv b.tsv c.tsv -o out.tsv --radius-px 5")
    run_words("combine consensus a.tsv b.tsv c.tsv -o all.tsv --radius-px 5 --min-tables 1")
    result = run_words("combine union a.tsv b.tsv -o no.tsv --radius-px 5 --min-tables 2", status=2)

    assert read("out.tsv") == [("mic", 1.0, 0.0)]
    assert len(read("all.tsv")) == 3
    assert "--min-tables is for consensus" in " ".join(result.stderr.split())


def test_split_uses_only_labelled_micrographs(run_words):
    Path("mics").mkdir()
    for stem in "abcde":
        write_mrc(Path(f"mics/{stem}.mrc"), noise(), pixel_size_ang=(1.0, 1.0))
    write("in.tsv", [(stem, i, i) for i, stem in enumerate("abcd")], score=False)

    result = run_words("split in.tsv -m mics -o parts --test-fraction 0.25 --seed 1")

    train, test = (Path(f"parts/{side}.txt").read_text().split() for side in ("train", "test"))
    assert sorted(Path(p).stem for p in train + test) == list("abcd")
    assert len(test) == 1
    assert [row[0] for row in read("parts/test.tsv")] == [Path(test[0]).stem]
    assert find_micrographs(["@parts/test.txt"]) == [Path(test[0])]
    assert "ignored 1 micrograph without a label" in result.stderr


def test_folds_test_every_micrograph_once(run_words):
    write("in.tsv", [(stem, 1, 1) for stem in "abcde"], score=False)

    run_words("split in.tsv -o parts --folds 2")

    first, second = (Path(f"parts/fold{i}/test.txt").read_text().split() for i in (1, 2))
    assert sorted(first + second) == list("abcde")


@pytest.mark.parametrize(("option", "count"), [("--number 2", "2 of 2"), ("--folds 3", "3 folds")])
def test_a_split_of_too_few_micrographs_is_refused(run_words, option, count):
    write("in.tsv", [("a", 1, 1), ("b", 1, 1)], score=False)

    assert count in run_words(f"split in.tsv -o parts {option}", status=1).stderr


def test_evaluate_reports_text_json_and_a_plot(run_words):
    write("picks.tsv", [("a", 0, 0, 2.0), ("a", 50, 0, 1.0), ("new", 0, 0, 5.0)])
    write("truth.tsv", [("a", 3, 0), ("b", 0, 0)], score=False)

    text = run_words("evaluate picks.tsv truth.tsv --radius-px 3 --plot curve.png")
    as_json = run_words("evaluate picks.tsv truth.tsv --diameter-ang 12 --pixel-size-ang 2 --json")

    assert "average precision  0.5000" in text.stdout
    assert "ignored micrographs that TRUTH does not name: new" in text.stderr
    values = json.loads(as_json.stdout)
    assert (values["n_picks"], values["n_truth"], values["radius_px"]) == (2, 2, 3.0)
    assert values["best"]["f1"] == pytest.approx(2 / 3)
    assert Path("curve.png").read_bytes().startswith(b"\x89PNG")


def test_evaluate_uses_only_listed_micrographs(run_words):
    write_picks(
        Picks.for_micrograph("mics/a.mrc", np.zeros((1, 2)), np.ones(1)), Path("picks.star")
    )
    write("truth.tsv", [("a", 0, 0), ("b", 0, 0)], score=False)
    Path("only.txt").write_text("a\nghost\n")

    result = run_words("evaluate picks.star truth.tsv --radius-px 1 --only only.txt --json")

    assert json.loads(result.stdout)["n_truth"] == 1
    assert "neither table names them: ghost" in result.stderr


def test_evaluate_without_scores_reports_precision_and_recall(run_words):
    write("picks.tsv", [("a", 0, 0)], score=False)
    write("truth.tsv", [("a", 0, 0)], score=False)

    result = run_words("evaluate picks.tsv truth.tsv --radius-px 1")

    assert "average precision  undefined: no scores" in result.stdout
    assert "all picks          1.0000  precision 1.0000  recall 1.0000" in result.stdout
    why = run_words("evaluate picks.tsv truth.tsv --radius-px 1 --plot x.png", status=1).stderr
    assert "x.png: cannot plot precision and recall of picks without scores" in why


def test_a_plot_of_unknown_format_is_refused(run_words):
    write("picks.tsv", [("a", 0, 0, 1.0)])

    why = run_words("evaluate picks.tsv picks.tsv --radius-px 1 --plot x.xls", status=1).stderr
    assert "x.xls: the suffix of a plot must be .png, .svg or .pdf, not '.xls'" in why


def test_info_shows_contents_and_unusable_files(run_words):
    write("picks.tsv", [("a", 1, 2, 0.5), ("b", 3, 4, 1.5)])
    Path("bad.mrc").write_bytes(b"not an image")
    write_mrc(Path("good.mrc"), noise(), pixel_size_ang=(1.5, 1.5))
    save_model("some.safetensors")

    told = json.loads(run_words("info . --json", status=1).stdout)
    text = run_words("info picks.tsv good.mrc")

    by_name = {Path(facts["path"]).name: facts for facts in told}
    assert by_name["picks.tsv"]["picks"] == 2
    assert by_name["picks.tsv"]["scores"] == [0.5, 1.5]
    assert by_name["good.mrc"]["pixel_size_ang"] == 1.5
    assert by_name["some.safetensors"]["diameter_ang"] == 7
    assert [name for name, facts in by_name.items() if not facts["usable"]] == ["bad.mrc"]
    assert "further columns  none" in text.stdout
    assert "8 × 8" in text.stdout


def test_info_detects_each_table_format_and_micrograph_lists(run_words):
    write("in.tsv", [("a", 1, 2, 0.5)])
    for form in ("cs", "cbox", "json", "via", "eman"):
        run_words(f"convert in.tsv -o some.{form} --to {form} --box-px 4 --shape-px 8 8")
    Path("list.star").write_text("data_micrographs\nloop_\n_rlnMicrographName\nm/a.mrc\nm/b.mrc\n")

    told = json.loads(run_words("info . --json").stdout)

    formats = {Path(facts["path"]).name: facts.get("format") for facts in told}
    assert formats == {"in.tsv": "tsv", "list.star": None} | {
        f"some.{form}": form for form in ("cs", "cbox", "json", "via", "eman")
    }
    [listed] = [facts for facts in told if facts["path"] == "list.star"]
    assert (listed["kind"], listed["micrographs"]) == ("micrograph list", 2)


def save_model(name):
    from safetensors.numpy import save_file

    facts = {"network": {"name": "conv31"}, "diameter_ang": 7, "summary": {}}
    save_file({"w": np.zeros(2, np.float32)}, name, metadata={"cryopick": json.dumps(facts)})


@pytest.mark.parametrize("name", ["missing.mrc", "broken.safetensors", "broken.tsv"])
def test_info_names_the_problem(run_words, name):
    if name.startswith("broken"):
        Path(name).write_text("image_name x_coord\n")

    result = run_words(f"info {name}", status=1)

    assert f"PROBLEM: {name}" in result.stdout
    assert f"1 of 1 files cannot be used, such as {name}" in result.stderr


def test_names_without_a_match_are_kept():
    table = Picks.from_columns(["a", "b"], np.zeros((2, 2)))

    assert align_names(table, ["./mics/a.mrc", "c"]).micrographs == ("./mics/a.mrc", "b")


@pytest.mark.skipif(not SHARED.exists(), reason="the shared data are not here")
def test_picks_of_another_program_reach_their_published_metrics(run_words):
    folder = SHARED / "other_pickers" / "crYOLO"
    # their micrographs lie upside down to the labels': y = 4096 - y
    run_words(f"convert {folder} -o picks.tsv --invert-y --shape-px 4097 4096")

    result = run_words(f"evaluate picks.tsv {SHARED / 'particles.tsv'} --radius-px 40 --json")

    every = json.loads(result.stdout)["all_picks"]
    # 0.853 and 0.945 are known from a largest pairing, which finds a few pairs more
    assert every["precision"] == pytest.approx(0.853, abs=0.004)
    assert every["recall"] == pytest.approx(0.945, abs=0.004)


def test_if_three_micrographs_show_no_particles_a_message_explains_the_few_picks(run_words):
    rng = np.random.default_rng(0)
    tail = rng.exponential(0.7, 1200) - 4
    names = [f"{name}.mrc" for name in ("a", "b", "c") for _ in range(400)]
    xy_px = rng.uniform(0, 1000, (len(names), 2))
    write_picks(Picks.from_columns(names, xy_px, tail), Path("scored.tsv"))

    told = run_words("threshold scored.tsv -o kept.tsv --at auto").stderr

    assert "3 of 3 micrographs are probably empty: a, b, c; their picks are kept" in told
    assert "no micrograph clearly shows particles, so that at most one pick of each is" in told
    assert "expected from" not in told
    assert len(Path("kept.tsv").read_text().splitlines()) <= 1 + 3


def test_picks_of_probably_empty_micrographs_are_dropped_only_on_request(run_words):
    rng = np.random.default_rng(0)
    tail = rng.exponential(0.7, 400) - 4
    good = np.concatenate([tail, rng.normal(2, 1, 80)])
    bad = tail
    names = ["good.mrc"] * len(good) + ["bad.mrc"] * len(bad)
    xy_px = rng.uniform(0, 1000, (len(names), 2))
    write_picks(Picks.from_columns(names, xy_px, np.concatenate([good, bad])), Path("scored.tsv"))

    kept = run_words("threshold scored.tsv -o kept.tsv --at auto")
    dropped = run_words("threshold scored.tsv -o dropped.tsv --at auto --drop-empty")
    refused = run_words("threshold scored.tsv -o a.tsv --at 0 --drop-empty", status=2)

    few = "1 of 2 micrographs is probably empty, but so few cannot show it surely: bad; "
    assert f"{few}its picks are kept" in kept.stderr
    assert "its picks are dropped" in dropped.stderr
    assert "--drop-empty needs --at auto" in " ".join(refused.stderr.split())
    assert "bad\t" in Path("kept.tsv").read_text()
    assert "bad\t" not in Path("dropped.tsv").read_text()
