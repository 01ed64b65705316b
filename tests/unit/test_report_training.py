"""Training curves: reading them from a run, and plotting them."""

import xml.etree.ElementTree as ET

import pytest

from cryopick.errors import FormatError, SettingsError
from cryopick.report.training import plot_training, read_curves, training_svg
from cryopick.train.curves import CurveRow, TrainingCurves


def make_rows(held_out):
    area = 0.5 if held_out else None
    return [
        CurveRow(
            step=step,
            loss=1 / step,
            penalty=2.0,
            expected_precision=0.25,
            true_positive_rate=0.5,
            false_positive_rate=0.0,
            region_average_precision=area,
            particle_average_precision=area,
        )
        for step in (2, 4, 8)
    ]


@pytest.mark.parametrize("held_out", [True, False])
def test_curves_are_read_as_they_were_written(tmp_path, held_out):
    path = tmp_path / "curves.tsv"
    path.write_text(TrainingCurves(make_rows(held_out)).to_tsv())

    assert read_curves(path) == make_rows(held_out)


@pytest.mark.parametrize("text", ["x_coord\ty_coord\n1\t2\n", "step\n2\n", "step\nx\n"])
def test_a_table_without_training_curves_is_refused(tmp_path, text):
    path = tmp_path / "other.tsv"
    path.write_text(text)

    with pytest.raises(FormatError, match=r"other\.tsv: expected the curves of a training run"):
        read_curves(path)


@pytest.mark.parametrize(("held_out", "panels"), [(True, 3), (False, 2)])
def test_held_out_results_are_plotted_if_micrographs_were_held_out(held_out, panels):
    svg = training_svg(make_rows(held_out))

    names = [e.get("id") for e in ET.fromstring(svg).iter() if e.get("id")]
    assert sum(name.startswith("axes_") for name in names) == panels


def test_a_plot_in_a_page_has_the_colours_of_the_page():
    svg = training_svg(make_rows(held_out=True))

    for name in ("ink", "line", "first", "second", "third"):
        assert f"var(--{name})" in svg
    assert "#0072b2" not in svg
    assert "http://www.w3.org" in svg.replace("https://", "")  # namespaces are the only URLs
    assert "matplotlib.org" not in svg


def test_runs_of_one_checkpoint_or_none_can_be_plotted(tmp_path):
    plot_training(make_rows(held_out=True)[:1], tmp_path / "curves.png")
    plot_training([], tmp_path / "curves.png")

    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_an_unsupported_suffix_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"must be \.png, \.svg or \.pdf, not '\.gif'"):
        plot_training([], tmp_path / "curves.gif")
