// @ts-check
// The list of micrographs, a hundred rows at a time, and going from one to the next.

import { signal } from "../vendor/ui.js";
import { get } from "./api.js";
import * as store from "./store.js";

const PAGE = 100;
/** `index`: where the open micrograph stands in this order; `version`: counts how often the rows may have changed. */
export const listing = signal({ filter: "", state: "", sort: "name", total: 0, index: -1, version: 0 });

/** @type {Map<number, any[]>} */
let pages = new Map();
let filled = "";
const arrived = signal(0);

const query = () => {
  const { filter, state, sort } = listing.peek();
  return { filter, state, sort, run: store.runId.peek() ?? undefined };
};

/** @param {number} index */
export function rowAt(index) {
  arrived.value;
  return pages.get(Math.floor(index / PAGE))?.[index % PAGE] ?? null;
}

/** Fetch the rows first..last that are not here yet. @param {number} first @param {number} last */
export async function want(first, last) {
  const { version } = listing.peek();
  const key = `${JSON.stringify(query())} ${version}`;
  const stale = key !== filled;
  if (stale) filled = key;
  const from = Math.floor(first / PAGE);
  const to = Math.max(from, Math.floor((last - 1) / PAGE));
  const fresh = stale ? new Map() : pages;
  for (let page = from; page <= to; page++) {
    if (fresh.has(page)) continue;
    fresh.set(page, fresh === pages ? [] : pages.get(page) ?? []);
    try {
      const answer = await get("micrographs", { ...query(), offset: page * PAGE, limit: PAGE });
      if (key !== filled) return;
      fresh.set(page, answer.rows);
      pages = fresh;
      if (answer.total !== listing.peek().total) listing.value = { ...listing.peek(), total: answer.total };
      place();
      arrived.value++;
    } catch (error) {
      fresh.delete(page);
      if (/** @type {any} */ (error).status) store.tell(/** @type {Error} */ (error).message, "bad");
      return;
    }
  }
}

/** Find the open micrograph among the rows that are here. */
export function place() {
  const id = store.micrograph.peek()?.id;
  for (const [page, rows] of pages) {
    const k = rows.findIndex((r) => r.id === id);
    if (k >= 0 && listing.peek().index !== page * PAGE + k) listing.value = { ...listing.peek(), index: page * PAGE + k };
  }
}

/** @param {string} sort */
export const sortBy = (sort) => (listing.value = { ...listing.peek(), sort, index: -1, version: listing.peek().version + 1 });

/** The rows may have changed: fetch those in sight again. */
export const refresh = () => (listing.value = { ...listing.peek(), version: listing.peek().version + 1 });

/** The micrograph so many places on, if there is one. @param {number} by */
export async function neighbour(by) {
  const at = listing.peek().index + by;
  if (at < 0 || at >= listing.peek().total) return null;
  await want(at, at + 1);
  return rowAt(at);
}

/** The next one that is not finished. */
export async function nextTodo() {
  for (let at = listing.peek().index + 1; at < listing.peek().total; at++) {
    await want(at, at + 1);
    const row = rowAt(at);
    if (row && (row.state === "todo" || row.state === "doing") && !row.problem) return row;
  }
  return null;
}

/** Change a row in place, for instance its number of labels. @param {any} id @param {(row: any) => any} edit */
export function editRow(id, edit) {
  for (const rows of pages.values()) {
    const k = rows.findIndex((r) => r.id === id);
    if (k >= 0) {
      rows[k] = edit(rows[k]);
      arrived.value++;
      return;
    }
  }
}
