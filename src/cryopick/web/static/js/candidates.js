// @ts-check
// Candidates that are accepted or rejected one by one, on their micrographs.

import { get } from "./api.js";
import * as edits from "./edits.js";
import * as session from "./session.js";
import * as store from "./store.js";
import { stage } from "./viewer/viewer.js";

const BATCH = 30;
const KINDS = /** @type {Record<string, string>} */ ({ yes: "pos", no: "neg", unsure: "unsure" });
/** Candidates after the current one. @type {import("./types.js").Candidate[]} */
let queue = [];
let run = "";

/** Show the candidates of a run. @param {string} id */
export async function begin(id) {
  try {
    const { items } = await get(`runs/${id}/candidates`, { k: BATCH });
    run = id;
    queue = items;
    store.candidateCount.value = { at: 0, total: items.length };
    if (!items.length) store.notify("There are no further candidates. Click on particles, or train a model.");
    await next();
  } catch (error) {
    store.notify(/** @type {Error} */ (error).message, "bad");
  }
}

/** Show the next candidate. */
export async function next() {
  const item = queue.shift() ?? null;
  store.candidate.value = item;
  if (!item) return;
  store.candidateCount.value = { ...store.candidateCount.value, at: store.candidateCount.value.at + 1 };
  if (store.step.value !== "label") store.step.value = "label";
  if (item.mid !== store.micrograph.value?.id) {
    await session.open(item.mid);
    store.candidate.value = item;
  }
  stage.now?.reveal(item.x, item.y);
  store.announce(`candidate ${store.candidateCount.value.at} of ${store.candidateCount.value.total}, score ${item.score.toFixed(1)}`);
}

/** @param {string} verdict yes, no or unsure */
export async function answer(verdict) {
  const item = store.candidate.value;
  if (!item || store.readOnly.value) return;
  edits.labelPick(item, KINDS[verdict]);
  await skip();
}

/** Leave the current candidate without a label. */
export async function skip() {
  await next();
  if (!store.candidate.value && run && store.candidateCount.value.total === BATCH) await begin(run);
}

export function end() {
  queue = [];
  store.candidate.value = null;
}
