// @ts-check
// The picks of a run: those of the open micrograph, the histogram of scores, and the threshold.

import { ask, get, put, RequestError } from "./api.js";
import { countsAbove, edgeAt, nearestEdge } from "./histogram.js";
import * as store from "./store.js";

/** @param {string} id */
export async function choose(id) {
  store.runId.value = id;
  store.picks.value = store.scores.value = null;
  await Promise.all([load(), readScores()]);
}

/** The chosen run's picks on the open micrograph. */
export async function load() {
  const [m, run] = [store.micrograph.value, store.runId.value];
  if (!m || run === null || m.problem) return;
  try {
    const data = await (await ask(`micrographs/${m.id}/picks`, { query: { run } })).arrayBuffer();
    if (store.micrograph.value?.id === m.id && store.runId.value === run) store.picks.value = unpack(data);
  } catch (error) {
    if (!(error instanceof RequestError && error.status === 404)) store.fail(error);
  }
}

/** Unpack 16 bytes of header (from byte 4: numbers of picks and labels), then all x, all y, all scores as float32 of both. @param {ArrayBuffer} data */
export function unpack(data) {
  const [, picks, labels] = new Uint32Array(data, 0, 4);
  const part = (/** @type {number} */ n, /** @type {number} */ start) => {
    const column = (/** @type {number} */ k) => new Float32Array(data, start + 4 * n * k, n);
    return { n, x: column(0), y: column(1), score: column(2) };
  };
  return { ...part(picks, 16), labels: part(labels, 16 + 12 * picks) };
}

export async function readScores() {
  const id = store.runId.value;
  if (id === null) return;
  try {
    const [h, metrics] = await Promise.all([get(`runs/${id}/histogram`), get(`runs/${id}/pr`).catch(() => ({}))]);
    if (store.runId.value !== id) return;
    const totals = countsAbove(h.counts);
    const rejections = countsAbove(h.rejected ?? []);
    store.scores.value = { ...h, totals, rejections, metrics, suggestions: metrics.suggestions ?? [] };
    if (timer === undefined) store.threshold.value = h.threshold;
  } catch (error) {
    store.fail(error);
  }
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
/** @param {number} t @param {boolean} final @param {number} [since] time of the user's request */
export function setThreshold(t, final, since = performance.now()) {
  if (t !== store.threshold.value) store.requested.threshold ??= since;
  store.threshold.value = t;
  clearTimeout(timer);
  timer = setTimeout(flushThreshold, final ? 0 : 400);
}

/** Send a changed threshold to the server, so that its counts and exports agree with the page. */
export function flushThreshold() {
  if (timer !== undefined) {
    clearTimeout(timer);
    timer = undefined;
    pending = sendFilter({ threshold: store.threshold.value });
  }
  return pending;
}
/** @type {Promise<void>} */
let pending = Promise.resolve();

/** Set edge margin or minimum distance; the server then selects again. @param {object} change */
export async function setLimits(change) {
  await (pending = sendFilter({ threshold: store.threshold.value, ...change }));
  await Promise.all([load(), readScores()]);
}

/** @param {object} change */
async function sendFilter(change) {
  const id = store.runId.value;
  if (id === null || store.readOnly.value) return;
  try {
    const s = store.scores.value;
    const limits = { edge_ang: s?.edge_ang ?? 0, min_distance_ang: s?.min_distance_ang ?? 0 };
    await put(`runs/${id}/threshold`, { ...limits, ...change });
    store.revision.value++;
    if (store.threshold.value !== null && s && edgeAt(s.edges, store.threshold.value) < 0) return readScores(); // exact counts
    const metrics = await get(`runs/${id}/pr`);
    if (store.runId.value === id && store.scores.value) store.scores.value = { ...store.scores.value, metrics };
  } catch (error) {
    store.fail(error);
  }
}

/** Move the threshold by some bins. @param {number} bins @param {number} [since] time of the user's request */
export function step(bins, since) {
  const s = store.scores.value;
  if (!s || store.threshold.value === null) return;
  const at = Math.min(s.edges.length - 1, Math.max(0, nearestEdge(s.edges, store.threshold.value) + bins));
  setThreshold(s.edges[at], false, since);
  store.announce(`threshold ${s.edges[at].toFixed(2)}, ${countSelected()} selected`);
}

/** Number of particles on all micrographs: selected picks without rejected ones, and particles added by hand. */
export function countSelected() {
  const s = store.scores.value;
  if (!s || store.threshold.value === null) return 0;
  const at = nearestEdge(s.edges, store.threshold.value);
  return s.totals[at] + (s.added?.[at] ?? 0);
}
