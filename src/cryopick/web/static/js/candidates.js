// @ts-check
// Candidates that are accepted or rejected one by one, on their micrographs.

import { get } from "./api.js";
import * as edits from "./edits.js";
import { allSaved } from "./gallery_items.js";
import * as session from "./session.js";
import * as store from "./store.js";
import { stage } from "./viewer/viewer.js";

const BATCH = 30;
/** Diameter of a candidate on the screen: below the first it is enlarged to the second. */
const [MIN_SIDE, SIDE] = [60, 90];
/** Candidates after the current one. @type {import("./types.js").Candidate[]} */
let queue = [];
let run = "";
/** Answers since the queue was loaded; without any, it would be the same again. */
let answers = 0;
/** The next candidate is being opened; an answer would concern one that the user has not seen. */
let isMoving = false;

/** @param {string} id of a run */
const isRunning = (id) => store.runs.value.some((r) => r.id === id && r.state === "running");

/** Number of requested queues; a late response must not replace a newer queue. */
let requests = 0;

/** Show the candidates of a run. @param {string} id @returns {Promise<void>} */
export async function begin(id) {
  const request = ++requests;
  store.awaitsCandidates.value = false;
  try {
    await allSaved(); // or candidates that were just answered would be listed again
    const wasRunning = isRunning(id);
    const { items } = await get(`runs/${id}/candidates`, { k: BATCH });
    if (request !== requests) return;
    if (!items.length && wasRunning && !isRunning(id)) return begin(id); // it has ended meanwhile
    run = id;
    queue = items;
    answers = 0;
    store.candidateCount.value = { at: 0, total: items.length };
    store.awaitsCandidates.value = !items.length && wasRunning;
    if (!items.length && !wasRunning) store.notify("There are no further candidates. Click on particles, or train a model.");
    await next();
  } catch (error) {
    store.fail(error);
  }
}

/** Show candidates of a run that has picked further micrographs, if the user waits for them. @param {string} id */
export const continueWith = (id) => void (store.awaitsCandidates.value && run === id && store.step.value === "label" && begin(id));

/** Show the next candidate. @returns {Promise<void>} */
export async function next() {
  const item = queue.shift() ?? null;
  if (!item) return void (store.candidate.value = null);
  if (store.step.value !== "label") store.step.value = "label";
  if (item.mid !== store.micrograph.value?.id) await session.open(item.mid);
  store.candidateCount.value = { ...store.candidateCount.value, at: store.candidateCount.value.at + 1 };
  if (isLabelled(item)) return next(); // since the queue was loaded
  store.candidate.value = item;
  show(item);
  store.announce(`candidate ${store.candidateCount.value.at} of ${store.candidateCount.value.total}, score ${item.score.toFixed(1)}`);
}

/** Move a candidate into view, large enough to recognize a particle. @param {import("./types.js").Candidate} item */
function show(item) {
  const side = 2 * store.radiusPx.value;
  if (store.zoom.value * side < MIN_SIDE) stage.now?.setView({ cx: item.x, cy: item.y, zoom: SIDE / side });
  else stage.now?.reveal(item.x, item.y);
}

/** @param {import("./types.js").Candidate} item @returns {boolean} */
function isLabelled(item) {
  return [...store.labels.value.values()].some((label) => Math.hypot(label.x - item.x, label.y - item.y) <= store.matchReach.value);
}

/** @param {string} verdict yes, no or unsure */
export async function answer(verdict) {
  const item = store.candidate.value;
  if (!item || isMoving || store.readOnly.value) return;
  edits.labelPick(item, edits.KINDS[verdict]);
  answers++;
  await skip();
}

/** Leave the current candidate without a label. */
export async function skip() {
  if (isMoving) return;
  isMoving = true;
  try {
    await next();
    if (!store.candidate.value && answers) await begin(run);
  } finally {
    isMoving = false;
  }
}

export function end() {
  requests++;
  queue = [];
  store.awaitsCandidates.value = false;
  answers = 0;
  store.candidate.value = null;
}
