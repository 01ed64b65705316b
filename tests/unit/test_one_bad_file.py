"""A batch skips a file that raises any error and processes the others."""

import errno
import os
import struct
import zlib
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from tests import tiny

from cryopick.errors import MicrographError
from cryopick.io.images.micrograph import read_micrograph
from cryopick.io.tables.pick_tables import read_picks
from cryopick.runs.file_errors import translate_file_errors

EXCEPTIONS = [
    MemoryError(),
    ValueError("bad value"),
    KeyError("tag"),
    TypeError("bad type"),
    ImportError("no codec"),
    RuntimeError("decoder failed"),
    RecursionError(),
    ZeroDivisionError(),
    OSError(errno.EIO, "Input/output error"),
    PermissionError(errno.EACCES, "Permission denied"),
    UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed"),
    struct.error("unpack requires a buffer"),
    zlib.error("invalid code"),
    imagecodecs.ZstdError("decode", -1) if hasattr(imagecodecs, "ZstdError") else ValueError(),
    AssertionError(),
]


@pytest.mark.parametrize("error", EXCEPTIONS, ids=lambda error: type(error).__name__)
def test_any_exception_becomes_the_error_of_its_file(error):
    with (
        pytest.raises(MicrographError, match=r"^bad\.mrc: ") as caught,
        translate_file_errors(Path("bad.mrc")),
    ):
        raise error
    assert caught.value.__cause__ is error


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, "No space left"), KeyboardInterrupt(), BrokenPipeError(32, "x")]
)
def test_what_concerns_the_whole_batch_is_not_translated(error):
    with pytest.raises(type(error)), translate_file_errors(Path("a.mrc")):
        raise error


COMMANDS = {
    "pick": ("pick mics --model m.safetensors --threshold -100 -o out.json", "out.json"),
    "score": ("score mics --model m.safetensors -o out", "out/mic_0.mrc"),
    "preprocess": ("preprocess mics -o out --model m.safetensors", "out/mic_0.mrc"),
    "propose": ("propose mics --diameter-ang 135 -o out.json", "out.json"),
    "stack": (
        "stack p.tsv -m mics -o out --box-px 8 --voltage-kv 300 --cs-mm 2.7",
        "out/particles.star",
    ),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("error", [MemoryError(), ImportError("x"), KeyError("x")], ids=repr)
def test_every_command_skips_the_file_and_finishes_the_others(
    command, error, run_words, monkeypatch
):
    Path("mics").mkdir()
    tiny.micrographs("mics", 3)
    tiny.model("m.safetensors")
    Path("p.tsv").write_text(
        "image_name\tx_coord\ty_coord\n" + "".join(f"mic_{i}\t40\t40\n" for i in range(3))
    )
    from cryopick.io.images import micrograph

    inspect = micrograph._inspect_format

    def fail_for_one(path, start):
        if path.name == "mic_1.mrc":
            raise error
        return inspect(path, start)

    monkeypatch.setattr(micrograph, "_inspect_format", fail_for_one)
    line, output = COMMANDS[command]

    result = run_words(line, status=1)

    assert "skipped mics/mic_1.mrc: " in result.stderr
    assert "1 of 3 files failed and were skipped" in result.stderr
    assert "bug" not in result.stderr
    assert Path(output).exists()


LABELS = "-p labels.tsv --config s.toml --particles-per-micrograph 12"
COMMANDS_ON_LINKS = {
    "preprocess": "preprocess mics -o out --factor 2",
    "train": f"train -m mics -o x.safetensors --init random {LABELS}",
    "benchmark": f"benchmark study -m mics --held-out-frac 0.4 --jobs 1 --labels 2 {LABELS} "
    "--objective pn --repeats 1",
    "info": "info mics",
}


@pytest.mark.parametrize("command", COMMANDS_ON_LINKS)
def test_a_broken_link_is_skipped_by_commands_that_identify_all_files(command, run_words):
    Path("mics").mkdir()
    tiny.micrographs("mics", 4)
    Path("s.toml").write_text(tiny.TRAINING)
    Path("mics/mic_1.mrc").unlink()
    Path("mics/mic_1.mrc").symlink_to("nowhere.mrc")
    line = COMMANDS_ON_LINKS[command]

    result = run_words(line.replace("--particles-per-micrograph 12", "")
                       if command == "benchmark" else line, status=1)  # fmt: skip

    assert "mics/mic_1.mrc: " in result.output
    assert "1 of 4 files" in result.output


@pytest.mark.parametrize("compression", ["zstd", "lzw", "deflate", "packbits"])
def test_compressed_tiff_is_read(compression, tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (40, 50)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", image, compression=compression)

    np.testing.assert_array_equal(read_micrograph(tmp_path / "a.tif").pixels, image)


def test_an_eer_movie_is_named_as_such(tmp_path):
    image = np.zeros((16, 16), np.uint8)
    tifffile.imwrite(tmp_path / "a.eer", image, compression="deflate")
    data = (tmp_path / "a.eer").read_bytes()
    tag = struct.pack("<HHI", 259, 3, 1)
    offset = data.index(tag) + len(tag)
    (tmp_path / "a.eer").write_bytes(data[:offset] + struct.pack("<H", 65001) + data[offset + 2 :])

    with pytest.raises(MicrographError, match="is an EER movie; correct its motion first"):
        read_micrograph(tmp_path / "a.eer")


def test_broken_links_circles_and_undecodable_names_are_skipped(run_words):
    Path("mics").mkdir()
    tiny.micrographs("mics", 1)
    tiny.model("m.safetensors")
    Path("mics/dead.mrc").symlink_to("nowhere.mrc")
    Path("mics/loop.mrc").symlink_to("loop.mrc")
    data = Path("mics/mic_0.mrc").read_bytes()
    Path(os.fsdecode(b"mics/bad\xff.mrc")).write_bytes(data)
    Path("mics.star").write_text(
        "data_\n\nloop_\n_rlnMicrographName\nmics/dead.mrc\nmics/mic_0.mrc\n"
    )

    by_pattern = run_words(
        "pick mics/*.mrc --model m.safetensors --threshold -100 -o a.json", status=1
    )
    by_list = run_words("pick mics.star --model m.safetensors --threshold -100 -o b.json", status=1)

    assert "3 of 4 files failed and were skipped" in by_pattern.stderr
    assert "1 of 2 files failed and were skipped" in by_list.stderr
    assert read_picks("a.json").micrographs == read_picks("b.json").micrographs
