"""Recall by the orientation and the surroundings of particles.

A picker that misses some views of a particle makes the reconstruction anisotropic, which precision
and recall over all particles do not show.

- `profile_recall`: recall in bins of view, defocus, ice, neighbour distance and edge distance.
- `RecallProfile`, `RecallBin`: the result.
- `find_angles`: orientations in the columns of a table.

Source: Bepler et al. 2019, Nat. Methods 16:1153, Figure 2d (picked particles by view).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import pairwise

import numpy as np

from cryopick.array_types import Bool, Float, Integer, Shaped
from cryopick.errors import SettingsError
from cryopick.evaluate.confidence import wilson_interval
from cryopick.evaluate.matching import match_picks
from cryopick.evaluate.spacing import merge_duplicates
from cryopick.picks import Picks

__all__ = ["RecallBin", "RecallProfile", "find_angles", "profile_recall"]

# Columns of angles in degrees: of `cryopick simulate`, and of RELION.
_ROT = ("rot_deg", "rlnAngleRot", "_rlnAngleRot")
_TILT = ("tilt_deg", "rlnAngleTilt", "_rlnAngleTilt")
# Columns of a number of each particle that are divided into quartiles, with their title.
_QUANTITIES = {
    "defocus_um": "defocus, µm",
    "rlnDefocusU": "defocus, Å",
    "_rlnDefocusU": "defocus, Å",
    "ice_frac": "relative ice thickness",
}
_BANDS = 4  # of equal area between the poles of the sphere of views
_SECTORS = (3, 6, 6, 3)  # of each band: 18 bins of about equal area
_QUANTILES = 4
_NEIGHBOUR_EDGES = (0.0, 1.0, 1.5, 2.0, math.inf)  # in particle diameters
_EDGE_EDGES = (0.0, 0.5, 1.0, 2.0, math.inf)


@dataclass(frozen=True, kw_only=True)
class RecallBin:
    """Recall of the particles in one bin.

    Attributes:
        label: Range of the bin.
        n_truth: Number of particles.
        n_found: Number of particles matched by a pick.
        recall: Their ratio.
        low, high: Ends of its 95 % interval.
    """

    label: str
    n_truth: int
    n_found: int
    recall: float
    low: float
    high: float


@dataclass(frozen=True, eq=False, kw_only=True)
class RecallProfile:
    """Recall of a table of picks by properties of the particles.

    Attributes:
        threshold: Minimum score of the picks; None for all.
        recall: Recall of all particles.
        bins: Bins by property: `view`, or the title of a column or of a distance, with its unit.
        p_value: Probability of a variation between bins at least as large, if the recall did not
            depend on the property (χ² test); NaN for one bin.
        view: Direction of view of each particle: azimuth rot and polar angle tilt, in degrees.
        is_found: True for each particle that is matched by a pick.
    """

    threshold: float | None
    recall: float
    bins: Mapping[str, tuple[RecallBin, ...]]
    p_value: Mapping[str, float]
    view: Float[np.ndarray, "particles 2"] | None
    is_found: Bool[np.ndarray, " particles"]

    def to_dict(self) -> dict[str, object]:
        """Return everything but the values of single particles, as JSON values."""
        return {
            "threshold": self.threshold,
            "recall": _none_if_nan(self.recall),
            "bins": {name: [asdict(one) for one in bins] for name, bins in self.bins.items()},
            "p_value": {name: _none_if_nan(value) for name, value in self.p_value.items()},
        }


def find_angles(particles: Picks) -> Float[np.ndarray, "particles 2"] | None:
    """Return azimuth and polar angle of the view of each particle, in degrees; None if absent."""
    columns = particles.extra
    rot = next((columns[name] for name in _ROT if name in columns), None)
    tilt = next((columns[name] for name in _TILT if name in columns), None)
    if rot is None or tilt is None:
        return None
    angles = np.column_stack([_as_numbers(rot, "rot"), _as_numbers(tilt, "tilt")])
    turned = np.mod(angles[:, 1], 360) > 180  # a tilt of -30° at rot is 30° at rot + 180°
    polar = np.degrees(np.arccos(np.clip(np.cos(np.radians(angles[:, 1])), -1, 1)))
    azimuth = np.mod(angles[:, 0] + np.where(turned, 180, 0) + 180, 360) - 180
    return np.column_stack([azimuth, polar])


def profile_recall(
    picks: Picks,
    truth: Picks,
    radius_px: float,
    *,
    diameter_px: float,
    threshold: float | None = None,
) -> RecallProfile:
    """Compute recall by view, defocus, ice thickness, and distance to neighbours and edges.

    The edges are those of the bounding box of all positions in both tables.

    Args:
        picks: Picks, with the same micrograph names as `truth`.
        truth: Reference particles. The columns `rot_deg` and `tilt_deg` (or RELION's) give the
            view; `defocus_um` and `ice_frac` further bins.
        radius_px: Maximum distance between a pick and its particle.
        diameter_px: Particle diameter, the unit of the distances.
        threshold: Minimum score of the picks; None for all.

    Raises:
        SettingsError: The truth contains no particle, or a column that is not numeric.
    """
    truth = merge_duplicates(truth)
    if not len(truth):
        raise SettingsError("the truth contains no particle whose recall could be computed")
    chosen = picks.restrict(truth.micrographs)
    if threshold is not None:
        chosen = chosen.select(chosen.score >= threshold)
    is_found = np.zeros(len(truth), bool)
    partner = match_picks(chosen, truth, radius_px)
    is_found[partner[partner >= 0]] = True
    view = find_angles(truth)
    groups = dict(_group_particles(truth, picks, view, diameter_px))
    bins, p_values = {}, {}
    for name, (number, labels) in groups.items():
        bins[name] = _count_bins(number, labels, is_found)
        p_values[name] = _test_equality(bins[name])
    return RecallProfile(
        threshold=threshold,
        recall=float(is_found.mean()),
        bins=bins,
        p_value=p_values,
        view=view,
        is_found=is_found,
    )


def _group_particles(
    truth: Picks, picks: Picks, view: Float[np.ndarray, "particles 2"] | None, diameter_px: float
) -> Iterator[tuple[str, tuple[Integer[np.ndarray, " particles"], list[str]]]]:
    """Yield each property with the bin of each particle and the labels of the bins."""
    if view is not None:
        yield "view", _bin_views(view)
    for name, title in _QUANTITIES.items():
        if name in truth.extra:
            yield title, _bin_quantiles(_as_numbers(truth.extra[name], name))
    neighbour = _distance_to_neighbours(truth) / diameter_px
    yield "distance to neighbour, diameters", _bin_ranges(neighbour, _NEIGHBOUR_EDGES)
    edge = _distance_to_edges(truth, picks) / diameter_px
    yield "distance to edge, diameters", _bin_ranges(edge, _EDGE_EDGES)


def _bin_views(
    view: Float[np.ndarray, "particles 2"],
) -> tuple[Integer[np.ndarray, " particles"], list[str]]:
    """Divide the sphere into bands of equal area, and the bands into sectors."""
    height = np.cos(np.radians(view[:, 1]))
    band = np.clip(((1 - height) / 2 * _BANDS).astype(int), 0, _BANDS - 1)
    sectors = np.array(_SECTORS)[band]
    sector = np.clip(((view[:, 0] + 180) / 360 * sectors).astype(int), 0, sectors - 1)
    first = np.cumsum((0, *_SECTORS[:-1]))
    tilts = np.degrees(np.arccos(1 - 2 * np.arange(_BANDS + 1) / _BANDS))
    labels = [
        f"tilt {tilts[b]:.0f}-{tilts[b + 1]:.0f}°, "
        f"rot {360 * s / count - 180:.0f} to {360 * (s + 1) / count - 180:.0f}°"
        for b, count in enumerate(_SECTORS)
        for s in range(count)
    ]
    return first[band] + sector, labels


def _bin_quantiles(
    values: Float[np.ndarray, " particles"],
) -> tuple[Integer[np.ndarray, " particles"], list[str]]:
    edges = np.unique(np.quantile(values, np.linspace(0, 1, _QUANTILES + 1)))
    if len(edges) < 2:
        edges = np.array([edges[0], edges[0]])
    number = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
    labels = [f"{low:.3g} to {high:.3g}" for low, high in pairwise(edges)]
    return number, labels


def _bin_ranges(
    values: Float[np.ndarray, " particles"], edges: tuple[float, ...]
) -> tuple[Integer[np.ndarray, " particles"], list[str]]:
    number = np.searchsorted(edges, values, side="right") - 1
    labels = [
        f"{low:g} and more" if math.isinf(high) else f"{low:g} to {high:g}"
        for low, high in pairwise(edges)
    ]
    return np.clip(number, 0, len(labels) - 1), labels


def _distance_to_neighbours(truth: Picks) -> Float[np.ndarray, " particles"]:
    """Return the distance of each particle to the nearest other one on its micrograph."""
    from scipy.spatial import cKDTree

    distance = np.full(len(truth), np.inf)
    for rows in truth.rows_by_micrograph().values():
        if len(rows) > 1:
            positions = truth.xy_px[rows]
            distance[rows] = cKDTree(positions).query(positions, k=2)[0][:, 1]
    return distance


def _distance_to_edges(truth: Picks, picks: Picks) -> Float[np.ndarray, " particles"]:
    """Return the distance of each particle to the bounding box of all positions."""
    positions = np.concatenate([truth.xy_px, picks.xy_px])
    low, high = np.minimum(positions.min(axis=0), 0), positions.max(axis=0)
    return np.minimum(truth.xy_px - low, high - truth.xy_px).min(axis=1)


def _count_bins(
    number: Integer[np.ndarray, " particles"],
    labels: list[str],
    is_found: Bool[np.ndarray, " particles"],
) -> tuple[RecallBin, ...]:
    n_truth = np.bincount(number, minlength=len(labels))
    n_found = np.bincount(number, weights=is_found, minlength=len(labels))
    occupied = np.flatnonzero(n_truth)
    low, high = wilson_interval(n_found[occupied], n_truth[occupied])
    return tuple(
        RecallBin(
            label=labels[bin_number],
            n_truth=int(n_truth[bin_number]),
            n_found=int(n_found[bin_number]),
            recall=float(n_found[bin_number] / n_truth[bin_number]),
            low=float(low[position]),
            high=float(high[position]),
        )
        for position, bin_number in enumerate(occupied)
    )


def _test_equality(bins: tuple[RecallBin, ...]) -> float:
    """Return the P value of a χ² test that all bins have the same recall."""
    from scipy.stats import chi2_contingency

    table = np.array([[one.n_found, one.n_truth - one.n_found] for one in bins])
    if len(bins) < 2 or not table.sum(axis=0).all():
        return math.nan
    return float(chi2_contingency(table, correction=False).pvalue)


def _as_numbers(
    column: Shaped[np.ndarray, " particles"], name: str
) -> Float[np.ndarray, " particles"]:
    try:
        return column.astype(np.float64)
    except ValueError as error:
        raise SettingsError(f"the column {name} of the truth is not numeric: {error}") from error


def _none_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else value
