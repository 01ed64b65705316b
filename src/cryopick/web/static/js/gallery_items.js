// @ts-check
// Items of the gallery: all picks of a run in one order, loaded in parts, with the selection and its labels.

import { signal } from "../vendor/ui.js";
import { address, get } from "./api.js";
import * as edits from "./edits.js";
import * as store from "./store.js";

/** A pick or a label. `mark`: 0 without a label, 1 positive, 2 negative. `label`: its label.
 * @typedef {{mid: number, x: number, y: number, score: number | null, other: number | null, mark: number, label: import("./types.js").Label | null}} Item */

const PAGE = 200;
const SHEET = 50;
export const SHEET_COLUMNS = 10;
const MAX_PAGES = 60;
const MAX_SHEETS = 160;
/** Selected items that can be reviewed at once. */
const MAX_REVIEWED = 5000;

/** order: score-desc, score-asc, threshold or disagreement; show: open, pos, neg or all. */
export const query = signal({ order: "score-desc", other: "", show: "open", selected: true, source: "picks" });
export const total = signal(0);
/** Incremented when items or crops were loaded. */
export const loaded = signal(0);
export const busy = signal(false);
/** Selected indices: all from `from` to before `to`, which is efficient for a million, and single ones. @type {import("../vendor/ui.js").Signal<Set<number>>} */
export const selection = signal(new Set());
/** Item of the keyboard, and the start of a range. */
export const focus = signal(0);
export const anchor = { at: 0 };

/** @type {Map<number, Item[]>} */
let pages = new Map();
/** @type {Map<number, Promise<void>>} */
let loading = new Map();
let version = 0;
/** @type {Map<string, {url: string, control: AbortController}>} */
const sheets = new Map();

const request = () => {
  const { order, other, show, selected, source } = query.peek();
  if (source === "labels") return { show: show === "open" ? "all" : show };
  const t = store.threshold.peek() ?? 0;
  return { run: store.runId.peek() ?? "", order, other: order === "disagreement" ? other : "", show, selected: selected && order !== "threshold", t };
};

/** Forget all items, after the order or the labels have changed. @param {boolean} [keepPlace] */
export function restart(keepPlace = false) {
  version++;
  pages = new Map();
  loading = new Map();
  selection.value = new Set();
  if (!keepPlace) focus.value = anchor.at = 0;
  loadPage(Math.floor(focus.peek() / PAGE));
}

/** @param {object} change */
export function setQuery(change) {
  query.value = { ...query.value, ...change };
  restart();
}

/** @param {number} index @returns {Item | null} */
export const itemAt = (index) => pages.get(Math.floor(index / PAGE))?.[index % PAGE] ?? null;

/** @param {number} page @returns {Promise<void>} */
function loadPage(page) {
  if (pages.has(page)) return Promise.resolve();
  let answer = loading.get(page);
  if (!answer) loading.set(page, (answer = fetchPage(page)));
  return answer;
}

/** @param {number} page */
async function fetchPage(page) {
  const [mine, requests] = [version, loading];
  busy.value = true;
  try {
    const answer = await get("gallery", { ...request(), offset: page * PAGE, limit: PAGE });
    if (mine !== version) return;
    pages.set(page, answer.items.map((/** @type {any[]} */ [mid, x, y, score, other, mark, label]) => ({ mid, x, y, score, other, mark, label })));
    if (pages.size > MAX_PAGES) pages.delete([...pages.keys()][0]);
    total.value = answer.total;
    loaded.value++;
  } catch (error) {
    if (mine === version) store.fail(error);
  } finally {
    requests.delete(page);
    if (mine === version) busy.value = loading.size > 0;
  }
}

/** Load the items from first to last. @param {number} first @param {number} last */
export async function load(first, last) {
  const parts = [];
  for (let page = Math.floor(first / PAGE); page <= Math.floor(Math.max(first, last - 1) / PAGE); page++) parts.push(loadPage(page));
  await Promise.all(parts);
}

/** Address of the sheet of crops that contains an item, and its place on it; null until it is loaded.
 * @param {number} index @param {number} side px of the micrograph @param {number} cell px of the sheet */
export function cropOf(index, side, cell) {
  const first = index - (index % SHEET);
  const sheet = sheets.get(sheetKey(first, side, cell));
  if (!sheet?.url) return null;
  const k = index % SHEET;
  return { url: sheet.url, column: k % SHEET_COLUMNS, row: Math.floor(k / SHEET_COLUMNS) };
}

/** @param {number} first @param {number} side @param {number} cell */
function sheetKey(first, side, cell) {
  const items = [];
  for (let i = first; i < Math.min(first + SHEET, total.peek()); i++) {
    const item = itemAt(i);
    if (!item) return "";
    items.push(`${item.mid}:${item.x}:${item.y}`);
  }
  const { view, lowpass } = store.lens.peek();
  const filter = view === "filtered" && lowpass ? { lp: lowpass, px: store.project.peek().pixel_size_ang } : {};
  return items.length ? address("crops", { at: items.join(","), side, cell, columns: SHEET_COLUMNS, ...filter }) : "";
}

/** Load the crops of the items from first to last; others that are still being loaded are aborted.
 * @param {number} first @param {number} last @param {number} side @param {number} cell */
export async function loadCrops(first, last, side, cell) {
  const wanted = new Set();
  for (let at = first - (first % SHEET); at < last; at += SHEET) {
    const key = sheetKey(at, side, cell);
    if (key) wanted.add(key);
  }
  for (const [key, sheet] of sheets)
    if (!sheet.url && !wanted.has(key)) {
      sheet.control.abort();
      sheets.delete(key);
    }
  await Promise.all([...wanted].map(loadSheet));
}

/** @param {string} key */
async function loadSheet(key) {
  const known = sheets.get(key);
  if (known) {
    sheets.delete(key); // least recently used sheets are first
    sheets.set(key, known);
    return;
  }
  const sheet = { url: "", control: new AbortController() };
  sheets.set(key, sheet);
  try {
    const response = await fetch(key, { credentials: "same-origin", signal: sheet.control.signal });
    if (!response.ok) throw new Error("no crops");
    sheet.url = URL.createObjectURL(await response.blob());
    for (const [other, { url }] of sheets) {
      if (sheets.size <= MAX_SHEETS) break;
      if (url) URL.revokeObjectURL(url);
      sheets.delete(other);
    }
    loaded.value++;
  } catch {
    if (sheets.get(key) === sheet) sheets.delete(key);
  }
}

/** @param {number} from @param {number} to included @param {boolean} [keep] keep what is selected */
export function selectRange(from, to, keep = false) {
  const next = new Set(keep ? selection.peek() : []);
  const [low, high] = [Math.min(from, to), Math.max(from, to)];
  for (let i = Math.max(0, low); i <= Math.min(high, total.peek() - 1, low + MAX_REVIEWED - 1); i++) next.add(i);
  selection.value = next;
}

/** @param {number} index */
export function toggle(index) {
  const next = new Set(selection.peek());
  if (!next.delete(index)) next.add(index);
  selection.value = next;
}

/** Accept or reject the selected items, or that of the keyboard. @param {"pos" | "neg" | null} kind null removes their labels */
export async function judge(kind) {
  if (store.readOnly.peek() || !total.peek()) return;
  const indices = selection.peek().size ? [...selection.peek()].sort((a, b) => a - b) : [focus.peek()];
  if (indices.length > MAX_REVIEWED) return store.notify(`At most ${MAX_REVIEWED} crops can be reviewed at once.`, "warn");
  const mine = version;
  for (const page of new Set(indices.map((i) => Math.floor(i / PAGE)))) await loadPage(page);
  if (mine !== version) return;
  const items = indices.flatMap((i) => itemAt(i) ?? []);
  edits.judge(items, kind);
  for (const item of items) item.mark = kind === "pos" ? 1 : kind === "neg" ? 2 : 0;
  store.announce(`${items.length} ${kind === "pos" ? "accepted" : kind === "neg" ? "rejected" : "without a label"}`);
  loaded.value++;
  focus.value = Math.min(focus.peek(), Math.max(0, total.peek() - 1));
  await allSaved();
  restart(true);
}

/** Resolves when the server has all edits. */
export async function allSaved() {
  while (store.saving.peek().waiting > 0) await new Promise((wake) => setTimeout(wake, 40));
}
