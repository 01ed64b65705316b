// @ts-check
// Queue of picks to review: load, answer, go back.

import { get } from "./api.js";
import * as edits from "./edits.js";
import { queue } from "./panels/review.js";
import * as store from "./store.js";
import { sendVerdict as save } from "./unsaved_verdicts.js";

/** Number of requested queues; a late response must not replace a newer queue. */
let requests = 0;

/** @param {string} sample uncertain, disagree or random */
export async function begin(sample) {
  const run = store.runId.value;
  if (run === null) return;
  const [request, k] = [++requests, sample === "random" ? 40 : 30];
  try {
    const answer = await get("review", { run, kind: sample, k });
    if (request !== requests) return;
    queue.value = { run, sample, items: answer.items, drawn: answer.drawn, at: 0, answers: {}, answered: [] };
    store.announce(`${answer.items.length} picks to review`);
  } catch (error) {
    store.fail(error);
  }
}

/** @param {string} verdict yes, no or unsure */
export function answer(verdict) {
  const q = queue.value;
  if (!q || q.at >= q.items.length || store.readOnly.value) return;
  const item = q.items[q.at];
  // Answers become labels, except those on a random sample, which only measure the precision.
  if (q.sample !== "random" && item.on) edits.setKind(item.on, edits.KINDS[verdict], item.mid);
  else if (q.sample !== "random") item.label = edits.labelPick(item, edits.KINDS[verdict]);
  queue.value = { ...q, at: q.at + 1, answers: { ...q.answers, [q.at]: verdict }, answered: [...q.answered.filter((k) => k !== q.at), q.at] };
  sendVerdict(q, item, verdict);
}

/** Undo the last answer: delete its label and return to its pick. */
export function undoAnswer() {
  const q = queue.value;
  const at = q?.answered.at(-1);
  if (!q || at === undefined) return store.announce("nothing to undo");
  const item = q.items[at];
  if (item.label) edits.unlabelPick(item.label);
  else if (item.on && q.answers[at]) edits.setKind({ ...item.on, kind: edits.KINDS[q.answers[at]] }, item.on.kind, item.mid);
  item.label = undefined;
  const { [at]: _, ...answers } = q.answers;
  queue.value = { ...q, at, answers, answered: q.answered.slice(0, -1) };
  sendVerdict(q, item, "none");
  store.announce("answer undone");
}

/** @param {import("./types.js").ReviewQueue} q @param {import("./types.js").ReviewItem} item @param {string} answer */
function sendVerdict(q, item, answer) {
  save({ run: q.run, pick: item.pick, answer, sample: q.sample, drawn: q.drawn });
}

export function back() {
  const q = queue.value;
  if (q && q.at > 0) queue.value = { ...q, at: q.at - 1 };
}
