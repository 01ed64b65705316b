// @ts-check
// The queue of picks to judge: fetch, answer, go back.

import { get, post } from "./api.js";
import * as edits from "./edits.js";
import { queue } from "./panels/review.js";
import * as store from "./store.js";

/** How many queues were asked for: an answer that comes late must not replace a newer one. */
let asked = 0;

/** @param {string} sample uncertain, disagree or random */
export async function begin(sample) {
  const run = store.runId.value;
  if (run === null) return;
  const [mine, k] = [++asked, sample === "random" ? 40 : 30];
  try {
    const answer = await get("review", { run, kind: sample, k });
    if (mine !== asked) return;
    queue.value = { run, sample, items: answer.items, drawn: answer.drawn, at: 0, answers: {}, said: [] };
    store.say(`${answer.items.length} picks to judge`);
  } catch (error) {
    store.tell(/** @type {Error} */ (error).message, "bad");
  }
}

const KINDS = /** @type {Record<string, string>} */ ({ yes: "pos", no: "neg", unsure: "unsure" });

/** @param {string} said yes, no or unsure */
export function answer(said) {
  const q = queue.value;
  if (!q || q.at >= q.items.length || store.readOnly.value) return;
  const item = q.items[q.at];
  // What was asked because it teaches becomes a label; what was drawn at random only measures.
  if (q.sample !== "random") item.label = edits.judge(item, KINDS[said]);
  queue.value = { ...q, at: q.at + 1, answers: { ...q.answers, [q.at]: said }, said: [...q.said.filter((k) => k !== q.at), q.at] };
  tell(q, item, said);
}

/** The last answer is none any more: its label goes, and the pick is asked about again. */
export function takeBack() {
  const q = queue.value;
  const at = q?.said.at(-1);
  if (!q || at === undefined) return store.say("nothing to undo");
  const item = q.items[at];
  if (item.label) edits.unjudge(item.label);
  item.label = undefined;
  const { [at]: _, ...answers } = q.answers;
  queue.value = { ...q, at, answers, said: q.said.slice(0, -1) };
  tell(q, item, "none");
  store.say("answer taken back");
}

/** @param {any} q @param {any} item @param {string} answer */
function tell(q, item, answer) {
  const verdict = { run: q.run, pick: item.pick, answer, sample: q.sample, drawn: q.drawn };
  pending = pending.then(() => send(verdict));
}

/** Answers go one after another. @type {Promise<void>} */
let pending = Promise.resolve();

/** @param {object} verdict */
async function send(verdict) {
  for (let pause = 500; ; pause = Math.min(5000, pause * 2)) {
    try {
      await post("verdicts", { verdicts: [verdict] });
      return;
    } catch (error) {
      if (/** @type {any} */ (error).status) return store.tell(/** @type {Error} */ (error).message, "bad");
      await new Promise((wake) => setTimeout(wake, pause));
    }
  }
}

export function back() {
  const q = queue.value;
  if (q && q.at > 0) queue.value = { ...q, at: q.at - 1 };
}

/** All answers are with the server. */
export const settled = () => pending;
