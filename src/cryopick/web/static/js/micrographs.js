// @ts-check
// The list of micrographs, loaded a hundred rows at a time, and navigation in it.

import { signal } from "../vendor/ui.js";
import { get, RequestError } from "./api.js";
import * as store from "./store.js";

const PAGE = 100;
/** `index`: row of the open micrograph; `version`: incremented when the rows may have changed. */
export const listing = signal({ filter: "", state: "", sort: "name", verdict: "", ranges: /** @type {Record<string, [number | null, number | null]>} */ ({}), total: 0, index: -1, version: 0 });

/** @type {Map<number, import("./types.js").MicrographRow[]>} */
let pages = new Map();
/** Pages that are being loaded, or were. @type {Map<number, Promise<unknown>>} */
const underway = new Map();
let loadedQuery = "";
const loadCount = signal(0);

const query = () => {
  const { filter, state, sort, verdict, ranges } = listing.peek();
  const limits = Object.entries(ranges).filter(([, range]) => range.some((v) => v !== null));
  const texts = limits.map(([name, [low, high]]) => `${name}:${low ?? ""}:${high ?? ""}`);
  return { filter, state, sort, verdict, ranges: texts.join(","), run: store.runId.peek() ?? undefined };
};

/** @param {number} index */
export function rowAt(index) {
  loadCount.value;
  return pages.get(Math.floor(index / PAGE))?.[index % PAGE] ?? null;
}

/** Load the missing rows from first to last. @param {number} first @param {number} last */
export async function loadRows(first, last) {
  const { version } = listing.peek();
  const key = `${JSON.stringify(query())} ${version}`;
  const stale = key !== loadedQuery;
  if (stale) loadedQuery = key;
  const from = Math.floor(first / PAGE);
  const to = Math.max(from, Math.floor((last - 1) / PAGE));
  const newPages = stale ? new Map() : pages;
  for (let page = from; page <= to; page++) {
    if (newPages.has(page)) {
      await underway.get(page);
      continue;
    }
    newPages.set(page, newPages === pages ? [] : pages.get(page) ?? []);
    const request = get("micrographs", { ...query(), offset: page * PAGE, limit: PAGE });
    underway.set(page, request.catch(() => {}));
    try {
      const answer = await request;
      if (key !== loadedQuery) return;
      newPages.set(page, answer.rows);
      pages = newPages;
      if (answer.total !== listing.peek().total) listing.value = { ...listing.peek(), total: answer.total };
      findIndex();
      loadCount.value++;
    } catch (error) {
      newPages.delete(page);
      if (error instanceof RequestError) store.fail(error);
      return;
    }
  }
}

/** Find the open micrograph in the loaded rows. */
export function findIndex() {
  const id = store.micrograph.peek()?.id;
  for (const [page, rows] of pages) {
    const k = rows.findIndex((r) => r.id === id);
    if (k >= 0 && listing.peek().index !== page * PAGE + k) listing.value = { ...listing.peek(), index: page * PAGE + k };
  }
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;
/** Change the order or the filters. @param {object} change */
export function changeQuery(change) {
  listing.value = { ...listing.peek(), ...change };
  clearTimeout(timer);
  timer = setTimeout(() => (listing.value = { ...listing.peek(), version: listing.peek().version + 1, index: -1 }), 150);
}

/** @param {string} sort */
export const sortBy = (sort) => (listing.value = { ...listing.peek(), sort, index: -1, version: listing.peek().version + 1 });

/** Load the visible rows again because they may have changed. */
export const refresh = () => (listing.value = { ...listing.peek(), version: listing.peek().version + 1 });

/** The micrograph at an offset in the list, if there is one. @param {number} by */
export async function neighbour(by) {
  const at = listing.peek().index + by;
  if (at < 0 || at >= listing.peek().total) return null;
  await loadRows(at, at + 1);
  return rowAt(at);
}

/** The next micrograph that is not finished. */
export async function nextTodo() {
  for (let at = listing.peek().index + 1; at < listing.peek().total; at++) {
    await loadRows(at, at + 1);
    const row = rowAt(at);
    if (row && (row.state === "todo" || row.state === "doing") && !row.problem) return row;
  }
  return null;
}

/** Change a row in place, for instance its number of labels. @param {number} id @param {(row: import("./types.js").MicrographRow) => import("./types.js").MicrographRow} edit */
export function editRow(id, edit) {
  for (const rows of pages.values()) {
    const k = rows.findIndex((r) => r.id === id);
    if (k >= 0) {
      rows[k] = edit(rows[k]);
      loadCount.value++;
      return;
    }
  }
}
