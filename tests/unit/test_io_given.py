# ruff: noqa: E501 -- a row for each file
"""Files of other programs: each is read with its known contents, or refused.

The values were taken from the files by the starfile package and by splitting lines.
"""

from pathlib import Path

import numpy as np
import pytest
from gemmi import cif

from cryopick.errors import InputError
from cryopick.io.tables.codec import TableLayout
from cryopick.io.tables.formats import list_micrographs
from cryopick.io.tables.pick_tables import read_picks, read_star_context, write_picks
from cryopick.io.tables.star import CODEC as STAR

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "formats"
pytestmark = pytest.mark.skipif(not SHARED.is_dir(), reason="the shared data are not here")

FOIL = "FoilHole_8535783_Data_6461108_6461110_20220309_161226_fractions"
NEW = f"cryolo/utils_example_CBOX_files_new_format_{FOIL}"
ROODMUS = "roodmus_inputs/relion_subset"
PYEM = "relion/simplecryoem"

# file, micrographs, picks, first and last centre, first score as the file has it
STARS = [
    ("cryodrgn/FinalRefinement-OriginalParticles-PfCRT.star", 3, 5, (323, 3210), (2866, 2488), None),
    ("cryodrgn/relion31.6opticsgroups.star", 139, 139, (2417.658855, 1078.795983), (640, 1792), 0.081146),
    ("cryodrgn/relion31.star", 1, 5, (3277, 983), (2933, 880), None),
    ("cryodrgn/relion31.v2.star", 1, 5, (3277, 983), (2933, 880), None),
    ("cryodrgn/relion5.star", 2, 17, (1736, 228), (1480, 254), 16.459581),
    ("cryodrgn/sta_testing.star", 39, 219, (1722.254, 3483.084), (3799.174, 1748.466), None),
    ("cryodrgn/sta_testing_bin8.star", 39, 219, (1722.254, 3483.084), (3799.174, 1748.466), None),
    ("relion/aspire/sample_incomplete_ctf_params.star", 1, 1, (916.590156, 3057.649585), (916.590156, 3057.649585), 0.601333),
    ("relion/aspire/sample_particles_relion30.star", 1, 17, (2158.111921, 3073.912046), (916.590156, 3057.649585), 1.065473),
    ("relion/aspire/sample_particles_relion31.star", 1, 17, (2158.111921, 3073.912046), (916.590156, 3057.649585), 1.065473),
    ("relion/cryojax_relion31_ribosome_4ug0.star", 1, 5, (790, 817), (1039, 702), None),
    ("relion/emtools_refine3d_run_it016_data.star", 24, 4748, (1624, 116), (2124, 3772), 18.219412),
    ("relion/isecc_relion31_beamtilt.star", 1, 1, (3136, 2296), (3136, 2296), None),
    ("relion/relion30_autopick_Ucsf_stack_1142_DW.star", 1, 45, (839.125024, 19.979167), (239.750007, 309.677092), 0.624705),
    (f"{PYEM}/pyem.star", 5, 24, (135.458824, 2336.66472), (1670.658833, 3171.994136), 0.033098),
    (f"{PYEM}/pyem_onerow.star", 1, 1, (135.458824, 2336.66472), (135.458824, 2336.66472), 0.033098),
    (f"{PYEM}/relion_proj_batch.star", 5, 24, (135.458824, 2336.66472), (1670.658833, 3171.994136), 0.033098),
    (f"{PYEM}/relion_proj_batch_pfac2.star", 5, 24, (135.458824, 2336.66472), (1670.658833, 3171.994136), 0.033098),
    (f"{PYEM}/relion_proj_batch_pfac3.star", 5, 24, (135.458824, 2336.66472), (1670.658833, 3171.994136), 0.033098),
    (f"{ROODMUS}/Extract/job007/particles.star", 1, 269, (1946, 938), (1204, 1708), 1.561135),
    (f"{ROODMUS}/Extract/job013/particles.star", 1, 262, (3503, 2772), (532, 3091), 1.349603),
    (f"{ROODMUS}/Select/job009/particles.star", 1, 262, (1946, 938), (1204, 1708), 1.561135),
    ("scipion/input_particles_relion31.star", 16, 2021, (501, 863), (620, 42), None),
    ("topaz/EMPIAR-10025_particles.star", 30, 1500, (6924, 2481), (5317, 590), None),
]  # fmt: skip
OTHERS = [
    ("cryolo/2d_particles.cbox", 1, 3, (24.1877, 40.459892), (36.84385, 61.411671), None),
    ("cryolo/TcdA1-0018_frames_sum.cbox", 1, 120, (3810.3671875, 3984.455551), (2680.809082, 155.195068), 0.6578449010848999),
    ("cryolo/TcdA1-0019_frames_sum.cbox", 1, 129, (1179.0966796875, 3978.842499), (2265.567871, 182.028076), 0.8090754151344299),
    ("cryolo/filament_ActLifeact_02885.cbox", 1, 223, (83.592605, 2540.425803), (994.553229, 3727.435101), 1.0),
    ("cryolo/filament_ActLifeact_04203.cbox", 1, 737, (166.407207, 2807.272855), (1519.04571, 1785.892761), 1.0),
    (f"cryolo/utils_{FOIL}.cbox", 1, 125, (4572.011261, 3934.466156), (2572.706566, 101.882098), 0.14524617791175842),
    (f"{NEW}.cbox", 1, 125, (4572.011261, 3934.466156), (2572.706566, 101.882098), 0.14524617791175842),
    (f"{NEW}_OLD_FORMAT.cbox", 1, 125, (4572, 3934.5), (2572.7, 101.9), 0.14524617791175842),
    ("cryolo/utils_test_old_cbox_output.cbox", 1, 174, (2138.9, 3939.5), (344.1, 107), 0.12978020310401917),
    ("eman_box/boxmanager_2d_center.box", 1, 3, (24, 40), (78, 51), None),
    ("eman_box/boxmanager_2d_center_float.box", 1, 3, (24.3, 40.7), (78.9, 51.4), None),
    ("eman_box/boxmanager_2d_left.box", 1, 3, (24, 40), (78, 51), None),
    ("eman_box/repic_crYOLO_with_score.box", 1, 719, (2979, 3975), (3189, 141), 0.6598718762397766),
    ("eman_box/repic_topaz_with_score.box", 1, 789, (2092, 912), (3168, 4052), 7.182231),
    ("topaz/EMPIAR-10025_particles.txt", 30, 1500, (6924, 2481), (5317, 590), None),
]  # fmt: skip
EMPTY = {  # without a pick
    "cryolo/filament_empty.cbox",
    "eman_box/boxmanager_2d_empty.box",
    "cryosparc/cryosparc-tools_4k_dataset.cs",
}
MOTION = "MotionCorr/job017/Micrographs/FoilHole"
LISTS = [
    ("roodmus_inputs/micrographs.star", 1, "Micrographs/000000.mrc"),
    ("roodmus_inputs/micrographs_ctf.star", 1, "Micrographs/000000.mrc"),
    ("relion/relion2_micrographs_all_gctf.star", 20, "CtfFind/job021/Micrographs/FoilHole_26052105_Data_26043380_26043382_20210227_035909_fractions.mrc"),
    ("relion/relion2_micrographs_ctf.star", 4500, f"{MOTION}_26045257_Data_26043368_26043370_20210226_112817_fractions.mrc"),
    ("relion5_tomo/TS_01.star", 41, "MotionCorr/job002/frames/TS_01_000_0_0.mrc"),
    ("roodmus_inputs/autopick.star", 1, "Micrographs/000000.mrc"),
    ("scipion/input_particles_relion31.star", 16, None),
    ("cryodrgn/empiar_10076_7.star", 7, "1"),
]  # fmt: skip
REFUSED = [
    ("eman_box/boxmanager_2d_corrupt_has_string.box", ":2: expected a .box line with 4 or 5"),
    ("eman_box/boxmanager_2d_corrupt_unqual_columns.box", ":3: expected .* this one has 3"),
    ("roodmus_inputs/cryoSPARC_subset/J511_050_particles.cs", "bytes without its header"),
    ("roodmus_inputs/cryoSPARC_subset/J513_passthrough_particles_selected.cs", "without its head"),
    ("roodmus_inputs/cryoSPARC_subset/J515_topaz_picked_particles.cs", "without its header"),
    ("roodmus_inputs/cryoSPARC_subset/J519_passthrough_particles_class_3.cs", "without its header"),
    ("roodmus_inputs/autopick.star", "no file 'AutoPick/job003/Micrographs/000000_autopick.star'"),
    ("cryodrgn/cryosparc_P12_J24_001_particles.cs", "nor a passthrough file beside it"),
    ("cryosparc/t20s_P9_J209_000_particles.cs", "nor a passthrough file beside it"),
    ("cryosparc/t20s_P9_J209_job.json", "expected a list of picks"),
    ("cryolo/3d_particle.cbox", "boxes in a tomogram"),
    ("cryolo/filament3d_SarcDros.cbox", "boxes in a tomogram"),
    ("cryolo/tomo018_10_gt.cbox", "boxes in a tomogram"),
    ("eman_json/ts_001_info.json", "boxes_3d: boxes in a tomogram"),
    ("relion/napari_example_particles.star", "rlnCoordinateZ: particles in a tomogram"),
    ("relion/starfile_tests/one_loop.star", "rlnCoordinateZ: particles in a tomogram"),
    ("relion/starfile_tests/rln3.1_data_style.star", "in the blocks block_2, block_3"),
    ("roodmus_inputs/micrographs_ctf.star", "it lists 1 micrographs"),
    ("xmipp/experimental_images.xmd", ":14: expected 9 values"),
    ("dynamo/t_double.tbl", "expected a table of picks"),
]
KNOWN = {row[0] for row in STARS + OTHERS} | EMPTY


@pytest.mark.parametrize(("name", "micrographs", "count", "first", "last", "score"), STARS + OTHERS)
def test_a_file_of_another_program_holds_what_is_known(
    name, micrographs, count, first, last, score
):
    picks = read_picks(SHARED / name)

    assert (len(picks.micrographs), len(picks)) == (micrographs, count)
    np.testing.assert_allclose(picks.xy_px[[0, -1]], [first, last], atol=1e-6)
    if name.endswith(".cbox") and score is not None:
        within = min(score, 1 - 1e-7)
        score = np.log(within / (1 - within))
    np.testing.assert_allclose(picks.score[0], np.nan if score is None else score)


@pytest.mark.parametrize("name", sorted(EMPTY))
def test_a_file_without_a_pick_is_a_table_without_a_pick(name):
    assert len(read_picks(SHARED / name)) == 0


@pytest.mark.parametrize(("name", "count", "first"), LISTS)
def test_a_list_of_micrographs_names_what_is_known(name, count, first):
    names = list_micrographs(SHARED / name)

    assert len(names) == len(set(names)) == count
    assert first in (None, names[0])


@pytest.mark.parametrize(("name", "why"), REFUSED)
def test_a_file_that_cannot_serve_is_refused_for_what_it_is(name, why):
    with pytest.raises(InputError, match=why):
        read_picks(SHARED / name)


FILES = sorted(
    p for p in SHARED.rglob("*") if p.is_file() and str(p.relative_to(SHARED)) not in KNOWN
)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SHARED)))
def test_whatever_else_is_there_is_refused_in_one_line(path):
    with pytest.raises(InputError) as caught:
        read_picks(path)

    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def star_content(path):
    """Block by block, the values of each column or pair, whatever their order."""
    content = {}
    for block in cif.read_string(path.read_text()):
        columns = content[block.name.strip()] = {}
        for item in block:
            if item.pair is not None:
                columns[item.pair[0]] = [cif.as_string(item.pair[1])]
            elif item.loop is not None:
                for i, tag in enumerate(item.loop.tags):
                    values = item.loop.values[i :: item.loop.width()]
                    columns[tag] = [cif.as_string(value) for value in values]
    return content


def agree(actual, expected):
    """Return True if texts are equal, or equal as numbers."""
    if actual == expected:
        return True
    numbers = [np.array([float(value) for value in values]) for values in (actual, expected)]
    return np.allclose(*numbers, rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", [row[0] for row in STARS])
def test_everything_survives_from_star_to_star(name, tmp_path):
    source, copy = SHARED / name, tmp_path / "copy.star"

    write_picks(read_picks(source), copy, layout=TableLayout(star=read_star_context([source])))

    before, after = star_content(source), star_content(copy)
    main = next(block for block, columns in before.items() if "_rlnCoordinateX" in columns)
    kept = main if main in ("", "particles") else "particles"
    if "_rlnMicrographName" not in before[main]:
        kept = "particles"  # written with the micrograph's name, as one of several
        before[main]["_rlnMicrographName"] = after[kept]["_rlnMicrographName"]
    assert after.keys() - {kept} == before.keys() - {main}
    for block in before.keys() - {main}:
        assert after[block] == before[block]
    if all(float(v) == -999 for v in before[main].get("_rlnAutopickFigureOfMerit", "")):
        before[main].pop("_rlnAutopickFigureOfMerit", None)  # no score at all
    assert after[kept].keys() == before[main].keys()
    for tag, values in before[main].items():
        if tag in ("_rlnCoordinateX", "_rlnCoordinateY"):
            numbers = [[float(v) for v in rows] for rows in (after[kept][tag], values)]
            np.testing.assert_allclose(*numbers, rtol=0, atol=0.0005)
        else:
            assert agree(after[kept][tag], values), tag


def test_the_order_of_blocks_that_relion_writes_is_kept(tmp_path):
    source = SHARED / "cryodrgn/relion5.star"

    write_picks(
        read_picks(source),
        tmp_path / "a.star",
        layout=TableLayout(star=read_star_context([source])),
    )

    text = (tmp_path / "a.star").read_text()
    assert text.count("# version 50001") == source.read_text().count("# version 50001")
    assert text.index("data_optics") < text.index("data_particles")


def test_relions_index_of_a_real_job_is_followed(tmp_path):
    index = tmp_path / "autopick.star"
    index.write_text((SHARED / "roodmus_inputs/autopick.star").read_text())
    truth = read_picks(SHARED / ROODMUS / "Extract/job007/particles.star")
    folder = tmp_path / "AutoPick/job003/Micrographs"
    folder.mkdir(parents=True)
    STAR.write(truth, TableLayout(one_micrograph=True), folder / "000000_autopick.star")

    picks = read_picks(index)

    assert picks.micrographs == ("Micrographs/000000.mrc",)
    assert picks.xy_px.tolist() == truth.xy_px.tolist()


def test_old_and_new_files_of_cryolo_agree_on_the_same_micrograph():
    new, old = (read_picks(SHARED / f"{NEW}{mark}.cbox") for mark in ("", "_OLD_FORMAT"))

    np.testing.assert_allclose(old.xy_px, new.xy_px, atol=0.05 + 1e-9)  # one decimal
    np.testing.assert_allclose(old.score, new.score)
