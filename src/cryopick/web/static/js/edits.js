// @ts-check
// Edits of labels and regions, each with the operations that undo it.

import { author as me } from "./api.js";
import { newId } from "./random.js";
import * as store from "./store.js";

/** @type {import("./journal.js").Journal | null} */
let journal = null;
/** @param {import("./journal.js").Journal} newJournal */
export const useJournal = (newJournal) => (journal = newJournal);

const NAMES = /** @type {Record<string, string>} */ ({ pos: "particle", neg: "not a particle", unsure: "uncertain" });

/** Kinds of the labels that verdicts give. */
export const KINDS = /** @type {Record<string, string>} */ ({ yes: "pos", no: "neg", unsure: "unsure" });

/** Apply an operation to labels and regions as the server does; returns new maps.
 * @param {Map<string, import("./types.js").Label>} labels @param {Map<string, import("./types.js").Region>} regions @param {import("./types.js").Operation} op
 * @param {number | undefined} mid */
function applyOp(labels, regions, op, mid) {
  const { id, x = 0, y = 0, kind = "", source, points = [], batch, author } = op;
  const nextLabels = new Map(labels);
  const nextRegions = new Map(regions);
  if (op.op === "add" && mid !== undefined && op.mid === mid)
    nextLabels.set(id, { id, mid, x, y, kind, source, batch, author: author ?? me });
  const label = nextLabels.get(id);
  if (op.op === "move" && label) nextLabels.set(id, { ...label, x, y });
  if (op.op === "kind" && label) nextLabels.set(id, { ...label, kind });
  if (op.op === "delete") nextLabels.delete(id);
  if (op.op === "unbatch") for (const l of labels.values()) if (l.batch === id) nextLabels.delete(l.id);
  if (op.op === "region" && mid !== undefined && op.mid === mid)
    nextRegions.set(id, { id, mid, kind, points });
  if (op.op === "unregion") nextRegions.delete(id);
  return { labels: nextLabels, regions: nextRegions };
}

/** @param {import("./types.js").Operation} op */
export function apply(op) {
  const mid = store.micrograph.value?.id;
  const next = applyOp(store.labels.value, store.regions.value, op, mid);
  store.labels.value = next.labels;
  store.regions.value = next.regions;
  if (store.selected.value && !next.labels.has(store.selected.value)) store.selected.value = null;
}

/** Labels that are shown and can be edited. */
export const visibleLabels = () => [...store.labels.value.values()].filter((l) => !store.onlyMine.value || l.author === me);

/** Number of the open micrograph; -1 without one, when nothing can be edited. */
const micrographId = () => store.micrograph.value?.id ?? -1;
/** @param {number} value */
const roundPixel = (value) => Math.round(value * 100) / 100;
const inside = (/** @type {number} */ x, /** @type {number} */ y) => {
  const m = store.micrograph.value;
  return m && x >= -0.5 && y >= -0.5 && x <= m.width_px - 0.5 && y <= m.height_px - 0.5;
};

/** @param {import("./types.js").Label} label */
const addition = (label) => ({
  op: "add", id: label.id, mid: label.mid, x: label.x, y: label.y, kind: label.kind, source: label.source ?? "hand",
  ...(label.batch ? { batch: label.batch } : {}),
});

/** @param {number} x @param {number} y @param {string} kind @param {string} [source] */
export function add(x, y, kind, source = "hand") {
  if (!journal || !inside(x, y)) return;
  const label = { id: newId(), mid: micrographId(), x: roundPixel(x), y: roundPixel(y), kind, source };
  journal.act(`add ${NAMES[kind]}`, [addition(label)], [{ op: "delete", id: label.id }], micrographId());
  store.announce(`${NAMES[kind]} added, ${countOf(kind)} on this micrograph`);
}

/** @param {string} kind */
const countOf = (kind) => [...store.labels.value.values()].filter((l) => l.kind === kind).length;

/** @param {string} id @param {number} x @param {number} y @param {{x: number, y: number}} from previous position */
export function move(id, x, y, from) {
  if (!journal || !inside(x, y)) return;
  journal.act("move label", [{ op: "move", id, x: roundPixel(x), y: roundPixel(y) }], [{ op: "move", id, x: from.x, y: from.y }], micrographId());
}

/** @param {string} id @param {string} kind */
export function change(id, kind) {
  const label = store.labels.value.get(id);
  if (!journal || !label || label.kind === kind) return;
  journal.act(`change to ${NAMES[kind]}`, [{ op: "kind", id, kind }], [{ op: "kind", id, kind: label.kind }], micrographId());
}

/** Delete labels and regions and add negative labels on picks, as one step.
 * @param {string[]} ids @param {[number, number][]} [picks] @param {import("./types.js").Region[]} [outlines] */
export function remove(ids, picks = [], outlines = []) {
  if (!journal) return;
  const deleted = ids.flatMap((id) => store.labels.value.get(id) ?? []);
  const rejections = [...store.labels.value.values()].filter((l) => l.kind === "neg");
  const isRejected = (/** @type {[number, number]} */ [x, y]) => rejections.some((l) => Math.hypot(l.x - x, l.y - y) <= store.matchReach.value);
  const negatives = picks.filter((pick) => !isRejected(pick)).map(([x, y]) => ({
    id: newId(), mid: micrographId(), x: roundPixel(x), y: roundPixel(y), kind: "neg", source: "correct",
  }));
  const n = deleted.length + negatives.length + outlines.length;
  if (!n) return;
  journal.act(
    n === 1 ? (outlines.length ? "delete region" : deleted.length ? "delete label" : "add negative label") : `erase ${n}`,
    [...deleted.map((l) => ({ op: "delete", id: l.id })), ...negatives.map(addition), ...outlines.map((r) => ({ op: "unregion", id: r.id }))],
    [...deleted.map(addition), ...negatives.map((m) => ({ op: "delete", id: m.id })), ...outlines.map(regionOp)],
    micrographId(),
  );
  store.announce(`${n} removed`);
}

/** @param {import("./types.js").Region} region */
const regionOp = (region) => ({ op: "region", id: region.id, mid: region.mid, kind: region.kind, points: region.points });

/** Label a reviewed pick on any micrograph; an earlier label of the review is replaced.
 * @param {{mid: number, x: number, y: number, label?: string}} item @param {string} kind @returns {string} id of the label */
export function labelPick(item, kind) {
  const label = { id: newId(), mid: item.mid, x: roundPixel(item.x), y: roundPixel(item.y), kind, source: "review" };
  const before = item.label ? [{ op: "delete", id: item.label }] : [];
  journal?.act(`review: ${NAMES[kind]}`, [...before, addition(label)], [{ op: "delete", id: label.id }], item.mid);
  store.announce(`${NAMES[kind]}`);
  return label.id;
}

/** Label crops of any micrographs as one step; their earlier labels change, or are deleted if `kind` is null.
 * @param {import("./gallery_items.js").Item[]} items @param {"pos" | "neg" | null} kind */
export function judge(items, kind) {
  /** @type {import("./types.js").Operation[]} */
  const forth = [];
  /** @type {import("./types.js").Operation[]} */
  const back = [];
  for (const item of items) {
    const { label } = item;
    if (label && kind === null) {
      forth.push({ op: "delete", id: label.id });
      back.push(addition(label));
      item.label = null;
    } else if (label && kind && kind !== label.kind) {
      forth.push({ op: "kind", id: label.id, kind });
      back.push({ op: "kind", id: label.id, kind: label.kind });
      item.label = { ...label, kind };
    } else if (!label && kind) {
      item.label = { id: newId(), mid: item.mid, x: roundPixel(item.x), y: roundPixel(item.y), kind, source: "correct" };
      forth.push(addition(item.label));
      back.push({ op: "delete", id: item.label.id });
    }
  }
  const name = kind === "pos" ? "accept" : kind === "neg" ? "reject" : "clear";
  if (forth.length) journal?.act(`${name} ${items.length} in the gallery`, forth, back.reverse(), items[0].mid);
}

/** Change a label on any micrograph to the kind that a review gave it.
 * @param {{id: string, kind: string}} label @param {string} kind @param {number} mid */
export function setKind(label, kind, mid) {
  if (label.kind === kind) return;
  journal?.act(`review: ${NAMES[kind]}`, [{ op: "kind", id: label.id, kind }], [{ op: "kind", id: label.id, kind: label.kind }], mid);
  store.announce(NAMES[kind]);
}

/** Delete the label of a reviewed pick. @param {string} id of its label */
export function unlabelPick(id) {
  if (journal?.done.at(-1)?.back.some((op) => op.id === id)) journal.undo();
  else remove([id]);
}

/** @param {[number, number][]} points */
export function addRegion(points) {
  const m = store.micrograph.value;
  if (!journal || !m || points.length < 3) return;
  const clip = (/** @type {number} */ v, /** @type {number} */ maximum) => roundPixel(Math.min(maximum, Math.max(0, v)));
  const clipped = points.map(([x, y]) => /** @type {[number, number]} */ ([clip(x, m.width_px - 1), clip(y, m.height_px - 1)]));
  const region = { id: newId(), mid: m.id, kind: "exclude", points: clipped };
  journal.act("add exclusion region", [regionOp(region)], [{ op: "unregion", id: region.id }], m.id);
  store.announce("exclusion region added");
}

/** @param {string} id of an import @param {string} name of its file */
export function removeImport(id, name) {
  journal?.act(`remove the import of ${name}`, [{ op: "unbatch", id }], [{ op: "rebatch", id }], micrographId());
}

/** @param {string} id of an import @param {string} name of its file */
export function restoreImport(id, name) {
  journal?.act(`restore the import of ${name}`, [{ op: "rebatch", id }], [{ op: "unbatch", id }], micrographId());
}

/** Let Undo remove an import that the server has just carried out. @param {string} id @param {string} title */
export const rememberImport = (id, title) =>
  journal?.remember({ title, mid: micrographId(), forth: [{ op: "rebatch", id }], back: [{ op: "unbatch", id }] });

/** @returns {import("./journal.js").Step | null} */
export function undo() {
  const step = journal?.undo() ?? null;
  store.announce(step ? `undone: ${step.title}` : "nothing to undo");
  return step;
}

/** @returns {import("./journal.js").Step | null} */
export function redo() {
  const step = journal?.redo() ?? null;
  store.announce(step ? `redone: ${step.title}` : "nothing to redo");
  return step;
}

/** Title of the edit that Undo would undo. */
export const lastStep = () => journal?.done.at(-1)?.title ?? null;
export const nextStep = () => journal?.undone.at(-1)?.title ?? null;

/** Test whether a point is inside a polygon, by the even-odd rule. @param {[number, number][]} points @param {number} x @param {number} y */
export function within(points, x, y) {
  let inside = false;
  for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
    const [xi, yi] = points[i];
    const [xj, yj] = points[j];
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}
