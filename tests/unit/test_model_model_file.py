import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from tests import tiny
from tests.trained_networks import make_network

from cryopick.errors import FormatError, InputError, OutputExistsError
from cryopick.inference.engine import optimize_for_inference
from cryopick.inference.score_map import compute_score_map
from cryopick.model.architectures import NetworkSettings
from cryopick.model.ensemble import EnsemblePartner
from cryopick.model.model_file import Model, load_kept_model, load_model, save_model
from cryopick.model.networks import Scorer, extract_network
from cryopick.preprocess.histogram import histogram
from cryopick.preprocess.normalize import Normalization, fit_normalization


def model(name="conv31"):
    torch.manual_seed(0)
    scorer = Scorer(NetworkSettings(name=name, width=2, dropout=0.1))
    scorer(torch.randn(4, 1, 99, 99))  # batch statistics unlike those of a fresh network
    return Model(
        network=extract_network(scorer.eval()),
        diameter_ang=190.0,
        working_pixel_size_ang=14.1,
        normalization=Normalization("affine"),
        label_radius_px=2.5,
        summary={"prior": 0.1, "settings": {"steps": 3}, "best_step": None},
    )


@pytest.fixture
def path(tmp_path):
    save_model(model(), tmp_path / "m.safetensors")
    return tmp_path / "m.safetensors"


def contents(path):
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["cryopick"]), {k: file.get_tensor(k) for k in file.keys()}  # noqa: SIM118  # no dict


def rewrite(path, description, tensors):
    save_file(tensors, path, metadata={"cryopick": json.dumps(description)})


def load_error(path):
    """Return the message of the error on loading; it names the file and is one line."""
    with pytest.raises(FormatError) as raised:
        load_model(path)
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


@pytest.mark.parametrize("name", ["conv31", "resnet41"])
def test_a_model_is_restored_bit_for_bit(tmp_path, name):
    saved, image = model(name), np.random.default_rng(0).normal(size=(60, 70)).astype(np.float32)
    save_model(saved, tmp_path / "a.safetensors")

    loaded = load_model(tmp_path / "a.safetensors")

    before, after = (
        compute_score_map(optimize_for_inference(m.network, step_px=2), image).logits
        for m in (saved, loaded)
    )
    np.testing.assert_array_equal(before, after)
    assert replace(loaded, network=saved.network) == saved
    assert loaded.scorer.settings == saved.scorer.settings
    assert not loaded.scorer.training


def test_a_fitted_normalisation_is_restored_exactly(tmp_path):
    rng = np.random.default_rng(0)
    pixels = rng.normal(0, 1, (80, 90)).astype(np.float32)
    pixels[:, :30] -= 3
    fitted = fit_normalization("dataset", [histogram(pixels, np.ones(pixels.shape, bool))])
    save_model(replace(model(), normalization=fitted), tmp_path / "a.safetensors")

    assert load_model(tmp_path / "a.safetensors").normalization == fitted


def test_saving_a_model_twice_writes_identical_bytes(tmp_path):
    for name in "ab":
        save_model(model(), tmp_path / name)

    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_file_is_overwritten_only_on_request(path):
    with pytest.raises(OutputExistsError):
        save_model(model(), path)

    save_model(model("conv63"), path, overwrite=True)
    assert load_model(path).scorer.settings.name == "conv63"


def test_the_downsampling_factor_follows_from_pixel_size_and_diameter():
    assert model().factor(1.41) == pytest.approx(10)
    assert model().factor(1.41, scale_ang=380.0) == pytest.approx(20)


def test_a_missing_file_raises_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no such model file; train one with `cryopick train`"):
        load_model(tmp_path / "none.safetensors")


@pytest.mark.parametrize("content", [b"", b"not a model", b"\x80\x04K\x01.", b"\xff" * 99])
def test_a_file_in_another_format_is_rejected(path, content):
    path.write_bytes(content)

    assert "expected safetensors format" in load_error(path)


def test_a_truncated_file_is_rejected(path):
    path.write_bytes(path.read_bytes()[:-10])

    assert "expected safetensors format" in load_error(path)


def test_a_pickle_is_never_loaded(path, monkeypatch):
    torch.save({"weights": torch.zeros(2)}, path)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("unpickled"))

    assert "expected safetensors format" in load_error(path)


def test_tensors_of_another_program_are_rejected(path):
    save_file({"weight": torch.zeros(3)}, path)

    assert "not a cryopick model" in load_error(path)


HUGE = 10**400  # fits no float


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2, this version reads 1"),
        ({"network": {"name": "conv31", "width": 10**6}}, "width 1000000 exceeds 1024"),
        ({"network": {"name": "vgg"}}, "unknown network 'vgg'"),
        ({"network": {"name": ["conv31"]}}, "conv31"),
        ({"network": {"name": "conv31", "width": "two"}}, "damaged"),
        ({"network": {"name": "conv31", "width": 2, "depth": 9}}, "unexpected keyword"),
        ({"network": None}, "must be a mapping"),
        ({"diameter_ang": 0}, "diameter_ang must be above 0; got 0"),
        ({"diameter_ang": float("nan")}, "diameter_ang must be a number of at least 0; got nan"),
        ({"working_pixel_size_ang": HUGE}, "too large"),
        ({"label_radius_px": -1}, "label_radius_px must be a number of at least 0; got -1"),
        ({"normalization": {"kind": "sharp", "mixture": None}}, "sharp"),
        ({"normalization": {}}, "normalisation must have kind and mixture"),
        ({"normalization": []}, "damaged"),
        ({"summary": 3}, "not iterable"),
        ({"receptive_field_px": 63}, r"(63, 4) are not those of conv31"),
        (
            {"network": {"name": "conv63", "width": 2}, "receptive_field_px": 63},
            "weights encoder.3.0.weight are missing",
        ),
        (
            {"network": {"name": "conv31", "width": 3}},
            "have shape (2, 1, 7, 7), expected (3, 1, 7, 7)",
        ),
    ],
)
def test_an_invalid_description_is_rejected(path, change, message):
    description, tensors = contents(path)
    rewrite(path, description | change, tensors)

    error = load_error(path)

    assert message in error
    assert "train the model again or update cryopick" in error


@pytest.mark.parametrize("name", ["format", "network", "diameter_ang", "normalization", "summary"])
def test_a_description_with_a_missing_key_is_rejected(path, name):
    description, tensors = contents(path)
    del description[name]
    rewrite(path, description, tensors)

    assert name in load_error(path)


@pytest.mark.parametrize("text", ["{", "[]", "3", "null", "[" * 100_000])
def test_a_description_that_is_not_an_object_is_rejected(path, text):
    _, tensors = contents(path)
    save_file(tensors, path, metadata={"cryopick": text})

    assert "model file is damaged" in load_error(path)


# The types of arguments are checked in this process, which would hide a missing check of a value.
LOAD_ODD = """
import json, sys
from pathlib import Path
from safetensors.numpy import load_file, save_file
from cryopick.errors import FormatError
from cryopick.model.model_file import load_model

path = Path(sys.argv[1])
tensors = load_file(path)
for text in json.loads(sys.stdin.read()):
    save_file(tensors, path, {"cryopick": text})
    try:
        load_model(path)
    except FormatError:
        print("refused")
    except Exception as error:
        print(text, repr(error))
    else:
        print("read")
"""
ODD_VALUES = [None, True, -1, 1e308, "x", [], [[]], [1, "x"], {}, {"name": []}]


def test_values_of_other_types_are_refused_without_type_checks(path):
    description, _ = contents(path)
    needed = [name for name in description if name in ("network", "normalization", "format")]
    texts = [json.dumps(value) for value in ODD_VALUES]
    texts += [json.dumps({**description, n: v}) for n in description for v in ODD_VALUES]
    for part in ("network", "normalization"):
        inner = description[part]
        changed = [{**inner, n: v} for n in inner for v in ODD_VALUES]
        texts += [json.dumps({**description, part: values}) for values in changed]

    done = subprocess.run(
        [sys.executable, "-c", LOAD_ODD, path],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
    )

    told = done.stdout.splitlines()
    assert len(told) == len(texts)
    assert set(told) <= {"read", "refused"}
    assert told.count("refused") > len(ODD_VALUES) * len(needed)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_non_finite_weights_are_rejected(path, value):
    description, tensors = contents(path)
    tensors["head.weight"][0, 1] = value
    rewrite(path, description, tensors)

    assert "weights head.weight are not finite" in load_error(path)


def test_weights_of_another_type_are_rejected(path):
    description, tensors = contents(path)
    tensors["head.weight"] = tensors["head.weight"].double()
    rewrite(path, description, tensors)

    assert "weights head.weight are float64, expected float32" in load_error(path)


@pytest.mark.parametrize("name", ["head.bias", "encoder.0.1.running_var"])
def test_missing_weights_are_rejected(path, name):
    description, tensors = contents(path)
    del tensors[name]
    rewrite(path, description, tensors)

    assert name in load_error(path)


def test_unknown_weights_are_rejected(path):
    description, tensors = contents(path)
    rewrite(path, description, tensors | {"tail.weight": torch.zeros(2)})

    assert "tail.weight" in load_error(path)


def test_an_ensemble_partner_is_restored(tmp_path):
    torch.manual_seed(3)
    partner = EnsemblePartner(make_network("dilated101"), 0.4)
    saved = replace(tiny.model(tmp_path / "plain.safetensors"), partner=partner)
    save_model(saved, tmp_path / "m.safetensors")

    loaded = load_model(tmp_path / "m.safetensors")

    assert loaded.partner.weight == 0.4
    torch.testing.assert_close(loaded.partner.scorer.state_dict(), partner.scorer.state_dict())
    torch.testing.assert_close(loaded.scorer.state_dict(), saved.scorer.state_dict())


def test_a_partner_whose_weights_do_not_match_its_description_is_rejected(tmp_path):
    partner = EnsemblePartner(make_network("conv31"), 0.4)
    save_model(replace(tiny.model(tmp_path / "p.safetensors"), partner=partner), tmp_path / "m.st")
    with safe_open(tmp_path / "m.st", framework="pt") as file:
        metadata = file.metadata()
        names = set(file.keys()) - {"guide/head.weight"}
        tensors = {name: file.get_tensor(name) for name in names}
    save_file(tensors, tmp_path / "m.st", metadata)

    with pytest.raises(FormatError, match="damaged"):
        load_model(tmp_path / "m.st")


def test_the_covariance_factor_of_the_last_layer_is_restored(tmp_path):
    side = model().scorer.features + 1
    factor = np.tril(np.random.default_rng(0).normal(size=(side, side)))

    save_model(replace(model(), head_spread=factor), tmp_path / "m.safetensors")

    np.testing.assert_array_equal(load_model(tmp_path / "m.safetensors").head_spread, factor)


@pytest.mark.parametrize(
    "spread", [np.eye(3), np.full((9, 9), np.nan), np.eye(9, dtype=np.float32)]
)
def test_an_invalid_covariance_factor_is_rejected(tmp_path, spread):
    assert model().scorer.features + 1 == 9
    save_model(replace(model(), head_spread=spread), tmp_path / "m.safetensors")

    assert "head spread" in load_error(tmp_path / "m.safetensors")


def test_sides_and_scale_are_kept(tmp_path):
    rods = replace(model(), width_ang=20.0, scale_ang=60.0)
    save_model(rods, tmp_path / "m.safetensors")

    loaded = load_model(tmp_path / "m.safetensors")

    assert (loaded.width_ang, loaded.scale_ang) == (20.0, 60.0)
    assert loaded.scale_for(380.0) == 120.0
    assert loaded.diameter_px == pytest.approx(60 / 14.1)


def test_the_width_must_be_positive(path):
    description, tensors = contents(path)
    rewrite(path, {**description, "width_ang": -3.0}, tensors)

    assert "width_ang" in load_error(path)


def test_a_kept_model_is_read_again_only_if_its_file_has_changed(path):
    first, second = load_kept_model(path), load_kept_model(path)
    save_model(replace(model(), diameter_ang=80.0), path, overwrite=True)
    third = load_kept_model(path)

    assert first is second
    assert (first.diameter_ang, third.diameter_ang) == (190.0, 80.0)
    path.unlink()
    with pytest.raises(InputError, match="no such model file"):
        load_kept_model(path)
