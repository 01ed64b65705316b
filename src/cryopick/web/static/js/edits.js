// @ts-check
// Adding, moving and deleting labels and regions: each edit with what takes it back.

import { newId } from "./random.js";
import { say } from "./store.js";
import * as store from "./store.js";

/** @type {import("./journal.js").Journal | null} */
let journal = null;
/** @param {import("./journal.js").Journal} made */
export const useJournal = (made) => (journal = made);

const NAMES = /** @type {Record<string, string>} */ ({ pos: "particle", neg: "not a particle", unsure: "unsure" });

/** One edit upon labels and regions, as the server understands it too. Returns new maps.
 * @param {Map<string, any>} labels @param {Map<string, any>} regions @param {any} op @param {any} mid */
export function applyOp(labels, regions, op, mid) {
  const nextLabels = new Map(labels);
  const nextRegions = new Map(regions);
  if (op.op === "add" && op.mid === mid)
    nextLabels.set(op.id, { id: op.id, mid, x: op.x, y: op.y, kind: op.kind, source: op.source });
  const label = nextLabels.get(op.id);
  if (op.op === "move" && label) nextLabels.set(op.id, { ...label, x: op.x, y: op.y });
  if (op.op === "kind" && label) nextLabels.set(op.id, { ...label, kind: op.kind });
  if (op.op === "delete") nextLabels.delete(op.id);
  if (op.op === "region" && op.mid === mid)
    nextRegions.set(op.id, { id: op.id, mid, kind: op.kind, points: op.points });
  if (op.op === "unregion") nextRegions.delete(op.id);
  return { labels: nextLabels, regions: nextRegions };
}

/** @param {any} op */
export function apply(op) {
  const mid = store.micrograph.value?.id;
  const next = applyOp(store.labels.value, store.regions.value, op, mid);
  store.labels.value = next.labels;
  store.regions.value = next.regions;
  if (store.selected.value && !next.labels.has(store.selected.value)) store.selected.value = null;
}

const here = () => store.micrograph.value?.id;
/** @param {number} value */
const tenth = (value) => Math.round(value * 100) / 100;
const inside = (/** @type {number} */ x, /** @type {number} */ y) => {
  const m = store.micrograph.value;
  return m && x >= -0.5 && y >= -0.5 && x <= m.width_px - 0.5 && y <= m.height_px - 0.5;
};

/** @param {any} label */
const addition = (label) => ({
  op: "add", id: label.id, mid: label.mid, x: label.x, y: label.y, kind: label.kind, source: label.source ?? "hand",
});

/** @param {number} x @param {number} y @param {string} kind @param {string} [source] */
export function add(x, y, kind, source = "hand") {
  if (!journal || !inside(x, y)) return;
  const label = { id: newId(), mid: here(), x: tenth(x), y: tenth(y), kind, source };
  journal.act(`add ${NAMES[kind]}`, [addition(label)], [{ op: "delete", id: label.id }], here());
  say(`${NAMES[kind]} added, ${countOf(kind)} here`);
}

/** @param {string} kind */
const countOf = (kind) => [...store.labels.value.values()].filter((l) => l.kind === kind).length;

/** @param {string} id @param {number} x @param {number} y @param {{x: number, y: number}} from where it was */
export function move(id, x, y, from) {
  if (!journal || !inside(x, y)) return;
  journal.act("move label", [{ op: "move", id, x: tenth(x), y: tenth(y) }], [{ op: "move", id, x: from.x, y: from.y }], here());
}

/** @param {string} id @param {string} kind */
export function change(id, kind) {
  const label = store.labels.value.get(id);
  if (!journal || !label || label.kind === kind) return;
  journal.act(`change to ${NAMES[kind]}`, [{ op: "kind", id, kind }], [{ op: "kind", id, kind: label.kind }], here());
}

/** Delete labels, and mark picks as no particles, as one step.
 * @param {string[]} ids @param {[number, number][]} [picks] @param {any[]} [outlines] */
export function remove(ids, picks = [], outlines = []) {
  if (!journal) return;
  const gone = ids.flatMap((id) => store.labels.value.get(id) ?? []);
  const marks = picks.map(([x, y]) => ({
    id: newId(), mid: here(), x: tenth(x), y: tenth(y), kind: "neg", source: "correct",
  }));
  const n = gone.length + marks.length + outlines.length;
  if (!n) return;
  journal.act(
    n === 1 ? (outlines.length ? "delete region" : gone.length ? "delete label" : "mark as no particle") : `erase ${n}`,
    [...gone.map((l) => ({ op: "delete", id: l.id })), ...marks.map(addition), ...outlines.map((r) => ({ op: "unregion", id: r.id }))],
    [...gone.map(addition), ...marks.map((m) => ({ op: "delete", id: m.id })), ...outlines.map(regionOp)],
    here(),
  );
  say(`${n} removed`);
}

/** @param {any} region */
const regionOp = (region) => ({ op: "region", id: region.id, mid: region.mid, kind: region.kind, points: region.points });

/** Say what a pick is, wherever it is; an earlier answer is replaced.
 * @param {{mid: any, x: number, y: number, label?: string}} item @param {string} kind @returns {string} the label's name */
export function judge(item, kind) {
  const label = { id: newId(), mid: item.mid, x: tenth(item.x), y: tenth(item.y), kind, source: "review" };
  const before = item.label ? [{ op: "delete", id: item.label }] : [];
  journal?.act(`judge: ${NAMES[kind]}`, [...before, addition(label)], [{ op: "delete", id: label.id }], item.mid);
  say(`${NAMES[kind]}`);
  return label.id;
}

/** Take back what was said of a pick. @param {string} id of its label */
export function unjudge(id) {
  if (journal?.done.at(-1)?.back.some((op) => op.id === id)) journal.undo();
  else remove([id]);
}

/** @param {[number, number][]} points */
export function outline(points) {
  if (!journal || points.length < 3) return;
  const m = store.micrograph.value;
  const clip = (/** @type {number} */ v, /** @type {number} */ most) => tenth(Math.min(most, Math.max(0, v)));
  const kept = points.map(([x, y]) => [clip(x, m.width_px - 1), clip(y, m.height_px - 1)]);
  const region = { id: newId(), mid: m.id, kind: "exclude", points: kept };
  journal.act("outline region", [regionOp(region)], [{ op: "unregion", id: region.id }], m.id);
  say("region left out");
}

/** @returns {import("./journal.js").Step | null} */
export function undo() {
  const step = journal?.undo() ?? null;
  say(step ? `undone: ${step.title}` : "nothing to undo");
  return step;
}

/** @returns {import("./journal.js").Step | null} */
export function redo() {
  const step = journal?.redo() ?? null;
  say(step ? `done again: ${step.title}` : "nothing to do again");
  return step;
}

/** What Ctrl+Z would take back. */
export const lastStep = () => journal?.done.at(-1)?.title ?? null;
export const nextStep = () => journal?.undone.at(-1)?.title ?? null;

/** Is a point within an outline? Even-odd rule. @param {[number, number][]} points @param {number} x @param {number} y */
export function within(points, x, y) {
  let inside = false;
  for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
    const [xi, yi] = points[i];
    const [xj, yj] = points[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}
