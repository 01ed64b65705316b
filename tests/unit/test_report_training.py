"""Curves of training: read back as written, drawn with what there is."""

import xml.etree.ElementTree as ET

import pytest

from cryopick.errors import FormatError, SettingsError
from cryopick.report.training import plot_training, read_curves, training_svg
from cryopick.train.curves import Curves, Row


def rows(held_out):
    area = 0.5 if held_out else None
    return [
        Row(
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
    path.write_text(Curves(rows(held_out)).to_tsv())

    assert read_curves(path) == rows(held_out)


@pytest.mark.parametrize("text", ["x_coord\ty_coord\n1\t2\n", "step\n2\n", "step\nx\n"])
def test_another_table_is_refused(tmp_path, text):
    path = tmp_path / "other.tsv"
    path.write_text(text)

    with pytest.raises(FormatError, match=r"other\.tsv: expected the curves of a training run"):
        read_curves(path)


@pytest.mark.parametrize(("held_out", "panels"), [(True, 3), (False, 2)])
def test_held_out_results_are_drawn_where_there_are_any(held_out, panels):
    svg = training_svg(rows(held_out))

    names = [e.get("id") for e in ET.fromstring(svg).iter() if e.get("id")]
    assert sum(name.startswith("axes_") for name in names) == panels


def test_a_drawing_for_a_page_takes_its_colours_from_the_page():
    svg = training_svg(rows(held_out=True))

    for name in ("ink", "line", "first", "second", "third"):
        assert f"var(--{name})" in svg
    assert "#0072b2" not in svg
    assert "http://www.w3.org" in svg.replace("https://", "")  # namespaces, and no other address
    assert "matplotlib.org" not in svg


def test_a_run_of_one_row_or_none_can_be_drawn(tmp_path):
    plot_training(rows(held_out=True)[:1], tmp_path / "curves.png")
    plot_training([], tmp_path / "curves.png")

    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_a_plot_of_unknown_kind_is_refused(tmp_path):
    with pytest.raises(SettingsError, match=r"a plot is .png, .svg or .pdf, not '.gif'"):
        plot_training([], tmp_path / "curves.gif")
