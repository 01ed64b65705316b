"""Labels that say what is no particle: how they are drawn, and what they change."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests import oracles_learn as oracles
from torch.utils._python_dispatch import TorchDispatchMode

from cryopick.model.architectures import NetworkSettings
from cryopick.model.ensemble import EnsemblePartner
from cryopick.model.geometry import Geometry
from cryopick.model.networks import Scorer, extract_network
from cryopick.preprocess.prepared_store import PreparedStore, StoredMicrograph, save_micrograph
from cryopick.train.loop import train
from cryopick.train.partner_scores import score_negative_labels
from cryopick.train.sampling import IGNORED, NEGATIVE, POSITIVE, UNLABELLED, Sampler
from cryopick.train.sampling_settings import SamplingSettings
from cryopick.train.settings import TrainSettings

CPU = torch.device("cpu")
SHAPE = (96, 104)
PARTICLES = np.array([[x, y] for x in (20.0, 52.0, 84.0) for y in (20.0, 76.0)])
SPECKS = np.array([[30.0, 48.0], [74.0, 48.0]])
SETTINGS = TrainSettings(
    diameter_ang=12.0,
    particles_per_micrograph=6.0,
    steps=60,
    checkpoint_every=60,
    learning_rate=1e-2,
    network=NetworkSettings(width=4, dropout=0.0),
    sampling=SamplingSettings(
        patch_px=63, unlabelled_patches=3, positive_patches=1, label_radius_px=2.0
    ),
)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """Two micrographs with six particles, half of them labelled, and two bright narrow specks."""
    folder = tmp_path_factory.mktemp("specks")
    for number in range(2):
        image = 3 * oracles.blobs(SHAPE, PARTICLES, 2.5, noise=1 / 3, seed=number)
        image += 5 * oracles.blobs(SHAPE, SPECKS, 1.6, noise=0.0, seed=number)
        image = (image - np.median(image)).astype(np.float32)
        save_micrograph(folder, number, StoredMicrograph(image, np.ones(SHAPE, bool), (1.0, 1.0)))
    return PreparedStore.open(folder, [PARTICLES[:3]] * 2, [SPECKS, SPECKS[:1]])


def sampler(store, partner_logits=None):
    geometry = Geometry.of(63, 31, 4)
    return Sampler(store, SETTINGS.sampling, geometry, seed=0, partner_logits=partner_logits)


def test_negatives_are_an_additional_patch_of_tiles(store):
    with_them = sampler(store).batch(0, CPU)
    without = sampler(replace(store, negatives_px=())).batch(0, CPU)

    assert len(with_them.patches) == len(without.patches) + 1
    assert (with_them.kinds[-1] == NEGATIVE).sum() == Geometry.of(63, 31, 4).tiles ** 2
    assert (without.kinds != NEGATIVE).all()
    assert (with_them.kinds == POSITIVE).sum() == (without.kinds == POSITIVE).sum()


def test_regions_with_a_negative_label_are_not_unlabelled(store):
    everywhere = np.array([[x, y] for x in range(0, 104, 2) for y in range(0, 96, 2)], float)
    covered = replace(store, negatives_px=(everywhere[:-600], everywhere[:-600]))

    kinds = sampler(covered).batch(0, CPU).kinds[:3]
    before = sampler(replace(store, negatives_px=())).batch(0, CPU).kinds[:3]

    assert (kinds == UNLABELLED).sum() < 0.6 * (before == UNLABELLED).sum()
    assert set(np.unique(kinds).tolist()) <= {IGNORED, UNLABELLED}


def test_each_negative_comes_with_the_logit_of_the_partner(store):
    batch = sampler(store, partner_logits=np.array([1.0, 2.0, 3.0])).batch(0, CPU)

    assert len(batch.partner_logits) == len(batch.indices[NEGATIVE])
    assert set(batch.partner_logits.tolist()) <= {1.0, 2.0, 3.0}
    assert len(set(batch.partner_logits.tolist())) > 1 or len(batch.partner_logits) < 4


class Masks(TorchDispatchMode):
    """Notes the operations that choose by a mask: a GPU is waited for until it has counted them."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        of_indices = args[1] if func is torch.ops.aten.index.Tensor else ()
        masked = any(index is not None and index.dtype == torch.bool for index in of_indices)
        if masked or func in (torch.ops.aten.nonzero.default, torch.ops.aten.masked_select.default):
            self.seen.append(func)
        return func(*args, **(kwargs or {}))


def test_a_step_does_not_index_with_masks(store, tmp_path):
    with Masks() as masks:
        torch.ones(3)[torch.ones(3) > 0]
        assert len(masks.seen) == 1
        train(store, replace(SETTINGS, autoencoder="0.1", steps=8), tmp_path / "run", device=CPU)

    assert len(masks.seen) == 1


def scores_at(scorer, store, places):
    image = np.load(store.folder / "000001.image.npy")
    with torch.inference_mode():
        crops = [image[int(y) - 15 : int(y) + 16, int(x) - 15 : int(x) + 16] for x, y in places]
        return scorer(torch.from_numpy(np.stack(crops))[:, None]).ravel().numpy()


def test_negative_labels_lower_the_scores_of_similar_regions(store, tmp_path):
    learnt = {}
    for name, given in (("with", store), ("without", replace(store, negatives_px=()))):
        made = train(given, SETTINGS, tmp_path / name, device=CPU)
        learnt[name] = scores_at(made.best.eval(), store, np.concatenate([PARTICLES, SPECKS]))

    def gap(scores):
        return scores[:6].mean() - scores[6:].mean()

    assert gap(learnt["with"]) > gap(learnt["without"]) + 0.5


def test_the_network_compensates_for_a_partner_that_is_wrong_on_a_negative(store, tmp_path):
    torch.manual_seed(0)
    eager = Scorer(NetworkSettings(width=2, dropout=0.0)).eval()
    with torch.no_grad():
        for name, weight in eager.named_parameters():
            if name.endswith("bias") and weight.shape == (1,):
                weight.fill_(8.0)
    partner = EnsemblePartner(extract_network(eager), 0.5)

    votes = score_negative_labels(partner, store)
    assert len(votes) == 3
    assert (votes > 1).all()

    alone = train(store, SETTINGS, tmp_path / "alone", device=CPU).best.eval()
    against = train(store, SETTINGS, tmp_path / "against", device=CPU, partner=partner).best.eval()

    assert scores_at(against, store, SPECKS).mean() < scores_at(alone, store, SPECKS).mean() - 0.5


def test_a_partner_that_is_right_on_the_negatives_changes_nothing(store):
    torch.manual_seed(0)
    wary = Scorer(NetworkSettings(width=2)).eval()
    wary.initialize_head(1e-6)

    partner = EnsemblePartner(extract_network(wary), 2.0)
    assert score_negative_labels(partner, store).tolist() == [0.0, 0.0, 0.0]


def test_other_negatives_make_another_run(store):
    assert store.fingerprint != replace(store, negatives_px=()).fingerprint
