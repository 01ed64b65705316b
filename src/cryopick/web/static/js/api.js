// @ts-check
// Talking to the server. All addresses are relative, so that the page works behind any prefix.

import { newId } from "./random.js";

const BASE = new URL("api/", document.baseURI);

/** This browser's name, the same when the page is opened again: whose edits and judgements these are. */
const author = (() => {
  try {
    const known = localStorage.getItem("cryopick.author") ?? newId(6);
    localStorage.setItem("cryopick.author", known);
    return known;
  } catch {
    return newId(6);
  }
})();

/** What the server refused, in its own words. */
export class Refused extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** @param {string} path @param {Record<string, unknown>} [query] */
export function address(path, query = {}) {
  // "./" so that the colon of micrographs:import is not taken for the end of a scheme.
  const url = new URL(`./${path}`, BASE);
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, String(value));
  return url.href;
}

/** A square piece of a micrograph about a place, and where the place is within it (0 to 1).
 * @param {any} mid @param {number} x @param {number} y @param {number} side px @param {number} [lp] Å */
export function cropAbout(mid, x, y, side, lp) {
  const [left, top] = [Math.round(x - (side - 1) / 2), Math.round(y - (side - 1) / 2)];
  // Pixel centres are at integers: the piece begins half a pixel before its first one.
  return {
    url: address(`micrographs/${mid}/crop`, { x: left, y: top, w: side, h: side, lp }),
    at: [(x - left + 0.5) / side, (y - top + 0.5) / side],
  };
}

/** @param {string} path @param {{method?: string, query?: Record<string, unknown>, body?: unknown, form?: FormData, signal?: AbortSignal}} [given]
 * @returns {Promise<Response>} */
export async function ask(path, { method = "GET", query, body, form, signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = { "X-Cryopick": author };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(address(path, query), {
    method, headers, signal, credentials: "same-origin", cache: "no-cache",
    body: form ?? (body === undefined ? undefined : JSON.stringify(body)),
  });
  if (!response.ok) throw new Refused(response.status, await reason(response));
  return response;
}

/** @param {Response} response */
async function reason(response) {
  const text = await response.text().catch(() => "");
  try {
    const { error, detail } = JSON.parse(text);
    const said = error ?? detail;
    if (typeof said === "string") return said;
    if (typeof said?.message === "string") return said.message;
  } catch {
    // not JSON: the status has to do
  }
  return `the server answered ${response.status}`;
}

/** @param {string} path @param {Record<string, unknown>} [query] @param {AbortSignal} [signal] */
export const get = async (path, query, signal) => (await ask(path, { query, signal })).json();
/** @param {string} path @param {unknown} body */
export const post = async (path, body) => (await ask(path, { method: "POST", body })).json();
/** @param {string} path @param {unknown} body */
export const put = async (path, body) => (await ask(path, { method: "PUT", body })).json();
/** @param {string} path @param {unknown} body */
export const patch = async (path, body) => (await ask(path, { method: "PATCH", body })).json();
