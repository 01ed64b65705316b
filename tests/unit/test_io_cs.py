import pickle
from pathlib import Path

import numpy as np
import pytest

from cryopick.errors import FormatError, InputError, SettingsError
from cryopick.io.inputs import find_micrographs
from cryopick.io.tables.pick_tables import read_picks, write_picks
from cryopick.picks import Picks

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "formats"
GOLDEN = Path(__file__).resolve().parents[1] / "golden"

LOCATION = [
    ("location/micrograph_uid", "<u8"),
    ("location/exp_group_id", "<u4"),
    ("location/micrograph_path", "S47"),
    ("location/micrograph_shape", "<u4", (2,)),
    ("location/center_x_frac", "<f4"),
    ("location/center_y_frac", "<f4"),
]
STATS = [
    ("pick_stats/ncc_score", "<f4"),
    ("pick_stats/power", "<f4"),
    ("pick_stats/template_idx", "<u4"),
    ("pick_stats/angle_rad", "<f4"),
]


def saved(path, table):
    with path.open("wb") as file:
        np.save(file, table)
    return path


def places(count=3, **fields):
    table = np.zeros(count, dtype=[("uid", "<u8"), *LOCATION])
    table["uid"] = np.arange(count) + 1
    table["location/micrograph_path"] = b"J1/a.mrc"
    table["location/micrograph_shape"] = [100, 200]
    table["location/center_x_frac"] = 0.5
    table["location/center_y_frac"] = np.arange(count) / 10
    for name, value in fields.items():
        table[f"location/{name}"] = value
    return table


@pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")
def test_picks_that_cryosparc_took_from_topaz_are_read_as_their_records_say(tmp_path):
    """A file of records without their header, with the header that they had."""
    kinds = [("uid", "<u8"), *LOCATION, *STATS, ("pick_stats/type", "S6")]
    source = SHARED / "roodmus_inputs/cryoSPARC_subset/J515_topaz_picked_particles.cs"
    records = np.frombuffer(source.read_bytes(), dtype=kinds)

    picks = read_picks(saved(tmp_path / "picked_particles.cs", records))

    assert picks.micrographs == ("J506/imported/006681152966488571598_000000.mrc",)
    assert len(picks) == 295
    np.testing.assert_allclose(picks.xy_px[:2], [[624, 428], [3456, 2304]], atol=2e-3)
    np.testing.assert_allclose(picks.xy_px, np.round(picks.xy_px), atol=2e-3)  # topaz's are whole
    assert picks.score[:2].tolist() == pytest.approx([68.40669, 66.8775])
    assert (np.diff(picks.score) <= 0).all()  # best first
    assert picks.extra["uid"][0] == 18368541433326768219


def test_a_passthrough_file_completes_the_rows_by_their_uids(tmp_path):
    selected = np.array(
        [(3, 7.5), (1, 2.5)], dtype=[("uid", "<u8"), ("pick_stats/ncc_score", "<f4")]
    )
    saved(tmp_path / "J9_passthrough_other.cs", places(2))  # lacks the third
    saved(tmp_path / "J9_passthrough_particles.cs", places(3))

    picks = read_picks(saved(tmp_path / "particles.cs", selected))

    assert picks.xy_px[:, 1].tolist() == pytest.approx([20, 0])
    assert picks.score.tolist() == [7.5, 2.5]
    (tmp_path / "J9_passthrough_particles.cs").unlink()
    with pytest.raises(FormatError, match="nor a passthrough file beside it"):
        read_picks(tmp_path / "particles.cs")


def test_a_passthrough_file_is_a_table_by_itself(tmp_path):
    picks = read_picks(saved(tmp_path / "J9_passthrough_particles.cs", places(3)))

    assert picks.xy_px[:, 0].tolist() == [100, 100, 100]
    assert np.isnan(picks.score).all()


def test_power_is_carried_where_it_is_not_the_score():
    picks = read_picks(GOLDEN / "cryosparc_picks.cs")

    assert picks.score.tolist() == [1.5, -2.25, 0]
    assert picks.extra["pick_stats/power"].tolist() == [1.5, -2.25, 7]


def test_uids_are_kept_through_text_or_made_and_then_the_same_in_every_run(tmp_path):
    picks = read_picks(GOLDEN / "cryosparc_picks.cs")
    fresh = Picks.for_micrograph("J1/006681152966488571598_mic.mrc", np.ones((3, 2)))
    size = {name: np.full(3, 64) for name in ("micrograph_height_px", "micrograph_width_px")}
    fresh = Picks(**{**vars(fresh), "extra": size})

    write_picks(picks, tmp_path / "picks.tsv")
    write_picks(read_picks(tmp_path / "picks.tsv"), tmp_path / "again.cs")
    for name in ("one.cs", "two.cs"):
        write_picks(fresh, tmp_path / name)

    again, one, two = (np.load(tmp_path / f"{name}.cs") for name in ("again", "one", "two"))
    assert again["uid"].tolist() == picks.extra["uid"].tolist()
    assert one.tobytes() == two.tobytes()
    assert len(set(one["uid"].tolist())) == 3
    assert one["location/micrograph_uid"].tolist() == [6681152966488571598] * 3


class Trap:
    def __reduce__(self):
        return pytest.fail, ("code of the file was run",)


@pytest.mark.parametrize("field", ["location/micrograph_path", "uid"])
def test_a_file_with_python_objects_is_refused_and_never_run(tmp_path, field):
    kinds = [
        (name, "O" if name == field else kind, *shape)
        for name, kind, *shape in places().dtype.descr
    ]
    table = np.zeros(1, dtype=kinds)
    table[field] = Trap()
    path = tmp_path / "trap.cs"
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, np.lib.format.header_data_from_array_1_0(table))
        pickle.dump(table, file)

    with pytest.raises(FormatError, match="Python objects, which may run code"):
        read_picks(path)


def test_a_header_that_promises_more_than_the_file_holds_is_refused_before_anything_is_made(
    tmp_path,
):
    path = saved(tmp_path / "a.cs", places(3))
    whole = path.read_bytes()
    huge = whole.replace(b"(3,)", b"(9000000000000,)", 1).replace(b"            \n", b"\n", 1)
    path.write_bytes(huge)

    with pytest.raises(FormatError, match="bytes for 9000000000000 rows, found"):
        read_picks(path)
    path.write_bytes(whole[:-1])
    with pytest.raises(FormatError, match="truncated; copy it again"):
        read_picks(path)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "bytes without its header"),
        (b"\x93NUMPY\x01\x00\x10\x00{'descr': 1/0}  ", "a header that cannot be read"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"[" * 65535, "a header that cannot be read"),
        (b"\x93NUMPY\x09\x09\x10\x00", "a header that cannot be read"),
    ],
)
def test_a_damaged_header_is_refused(tmp_path, content, why):
    (tmp_path / "a.cs").write_bytes(content)

    with pytest.raises(FormatError, match=why):
        read_picks(tmp_path / "a.cs")


def test_other_arrays_and_the_compressed_stream_are_named(tmp_path):
    with pytest.raises(FormatError, match=r"found an array of float64 \(2, 2\)"):
        read_picks(saved(tmp_path / "a.cs", np.zeros((2, 2))))
    with pytest.raises(FormatError, match=r"compressed stream \(CSDAT\); export"):
        read_picks(GOLDEN / "cryosparc_picks_compressed.cs")
    with pytest.raises(InputError, match="no such file"):
        read_picks(tmp_path / "gone.cs")


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"center_x_frac": np.nan}, "finite fractions .* in row 0"),
        ({"micrograph_shape": [0, 200]}, "a micrograph with pixels"),
        ({"micrograph_path": b""}, "a path for each micrograph"),
        ({"micrograph_path": b"\xff\xfe.mrc"}, "paths in UTF-8"),
    ],
)
def test_locations_that_mean_nothing_are_refused(tmp_path, fields, why):
    with pytest.raises(FormatError, match=why):
        read_picks(saved(tmp_path / "a.cs", places(2, **fields)))


@pytest.mark.parametrize(
    ("field", "kind"),
    [("micrograph_shape", ("<u4", 3)), ("center_x_frac", "S4"), ("micrograph_path", "<u4")],
)
def test_columns_of_other_types_are_refused(tmp_path, field, kind):
    sound = places(2).dtype
    kinds = {name: sound[name] for name in sound.names} | {f"location/{field}": kind}

    with pytest.raises(FormatError, match="found other types; export the job again"):
        read_picks(saved(tmp_path / "a.cs", np.zeros(2, list(kinds.items()))))


def test_a_size_that_nobody_knows_is_asked_for(tmp_path):
    with pytest.raises(SettingsError, match=r"size of gone\.mrc is unknown: give .* -m, or"):
        write_picks(Picks.for_micrograph("gone.mrc", np.ones((1, 2))), tmp_path / "a.cs")
    assert not list(tmp_path.iterdir())


def test_micrographs_come_from_exposures_and_from_particles(tmp_path):
    (tmp_path / "J1").mkdir()
    for name in ("a.mrc", "b.mrc"):
        (tmp_path / "J1" / name).write_text("x")
    (tmp_path / "J2").mkdir()
    exposures = np.array(
        [(1, b">J1/b.mrc"), (2, b">J1/a.mrc")],
        dtype=[("uid", "<u8"), ("micrograph_blob/path", "S20")],
    )

    listed = find_micrographs([str(saved(tmp_path / "J2/exposures.cs", exposures))])
    picked = find_micrographs([str(saved(tmp_path / "J2/picked.cs", places(2)))])

    assert listed == [tmp_path / "J1/b.mrc", tmp_path / "J1/a.mrc"]
    assert picked == [tmp_path / "J1/a.mrc"]
    other = np.zeros(1, dtype=[("uid", "<u8")])
    with pytest.raises(
        FormatError, match=r"micrograph_blob/path or .* or location/micrograph_path"
    ):
        find_micrographs([str(saved(tmp_path / "other.cs", other))])
