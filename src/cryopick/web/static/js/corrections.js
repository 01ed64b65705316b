// @ts-check
// Particles on the open micrograph: selected picks that nobody rejected, and labels without a pick. The server counts in the same way.

import { within } from "./edits.js";
import * as store from "./store.js";
import { Grid } from "./viewer/grid.js";

/** @typedef {{n: number, x: Float32Array, y: Float32Array, score: Float32Array}} PickSet */

/** @param {PickSet} set @param {Iterable<import("./types.js").Label>} labels @param {Iterable<import("./types.js").Region>} regions
 * @param {number} reach distance within which a pick matches a label, px @param {number} cut minimum score */
function countOn(set, labels, regions, reach, cut) {
  const grid = new Grid({ length: set.n, x: (i) => set.x[i], y: (i) => set.y[i] }, Math.max(8, reach));
  const rejected = new Uint8Array(set.n);
  const positive = [];
  for (const l of labels) {
    if (l.kind === "neg") for (const i of grid.within(l.x, l.y, reach)) rejected[i] = 1;
    else if (l.kind === "pos") positive.push(l);
  }
  for (const { points } of regions) for (let i = 0; i < set.n; i++) if (within(points, set.x[i], set.y[i])) rejected[i] = 1;
  let selected = 0;
  let candidates = 0;
  for (let i = 0; i < set.n; i++) {
    if (rejected[i]) continue;
    candidates++;
    if (set.score[i] >= cut) selected++;
  }
  /** @type {import("./types.js").Label[]} one label for each particle */
  const particles = [];
  for (const l of positive) if (!particles.some((p) => Math.hypot(p.x - l.x, p.y - l.y) < reach)) particles.push(l);
  const added = particles.filter((l) => !grid.within(l.x, l.y, reach).some((i) => !rejected[i] && set.score[i] >= cut)).length;
  return { particles: selected + added, selected, added, candidates };
}

/** Counts on the open micrograph, or null without picks. */
export function countHere() {
  const set = store.picks.value;
  if (!set || store.threshold.value === null) return null;
  return countOn(set, store.labels.value.values(), store.regions.value.values(), store.matchReach.value, store.cut.value);
}
