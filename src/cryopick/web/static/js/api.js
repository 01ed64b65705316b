// @ts-check
// Requests to the server. All addresses are relative, so that the page works behind any prefix.

import { newId } from "./random.js";
import * as store from "./store.js";

const BASE = new URL("api/", document.baseURI);

/** Persistent random name of this browser, the author of its edits and verdicts. */
export const author = (() => {
  try {
    const stored = localStorage.getItem("cryopick.author") ?? newId(6);
    localStorage.setItem("cryopick.author", stored);
    return stored;
  } catch {
    return newId(6);
  }
})();

/** An error that the server reported. */
export class RequestError extends Error {
  /** @param {number} status @param {string} message */
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** The message of a request without a response, and the cause of its notification. */
export const NO_RESPONSE = "The server does not respond. Check that cryopick label is still running; edits wait in this browser until it is back.";

/** @param {string} path @param {Record<string, unknown>} [query] */
export function address(path, query = {}) {
  // "./" so that the colon of micrographs:import is not parsed as the end of a scheme.
  const url = new URL(`./${path}`, BASE);
  for (const [name, value] of Object.entries(query))
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, String(value));
  return url.href;
}

/** A square crop around a position, and the position within the crop (0 to 1).
 * @param {number} mid @param {number} x @param {number} y @param {number} side px @param {number} [lp] Å */
export function cropAround(mid, x, y, side, lp) {
  const [left, top] = [Math.round(x - (side - 1) / 2), Math.round(y - (side - 1) / 2)];
  // Pixel centres are at integers: the crop begins half a pixel before its first pixel.
  return {
    url: address(`micrographs/${mid}/crop`, { x: left, y: top, w: side, h: side, lp, px: lp && store.project.value.pixel_size_ang }),
    at: [(x - left + 0.5) / side, (y - top + 0.5) / side],
  };
}

/** @param {string} path @param {{method?: string, query?: Record<string, unknown>, body?: unknown, form?: FormData, signal?: AbortSignal}} [options]
 * @returns {Promise<Response>} */
export async function ask(path, { method = "GET", query, body, form, signal } = {}) {
  /** @type {Record<string, string>} */
  const headers = { "X-Cryopick": author };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const response = await fetch(address(path, query), {
    method, headers, signal, credentials: "same-origin", cache: "no-cache",
    body: form ?? (body === undefined ? undefined : JSON.stringify(body)),
  }).catch((error) => {
    throw signal?.aborted ? error : new Error(NO_RESPONSE);
  });
  if (response.status === 401 && path !== "login") store.expired.value = true;
  if (!response.ok) throw new RequestError(response.status, await reason(response));
  return response;
}

/** @param {Response} response */
async function reason(response) {
  const text = await response.text().catch(() => "");
  try {
    const { error, detail } = JSON.parse(text);
    const message = error ?? detail;
    if (typeof message === "string") return message;
    if (typeof message?.message === "string") return message.message;
  } catch {
    // not JSON: only the status is known
  }
  return `the server responded with status ${response.status}`;
}

/** @param {string} path @param {Record<string, unknown>} [query] @param {AbortSignal} [signal] */
export const get = async (path, query, signal) => (await ask(path, { query, signal })).json();
/** @param {string} path @param {unknown} body */
export const post = async (path, body) => (await ask(path, { method: "POST", body })).json();
/** @param {string} path @param {unknown} body */
export const put = async (path, body) => (await ask(path, { method: "PUT", body })).json();
/** @param {string} path @param {unknown} body */
export const patch = async (path, body) => (await ask(path, { method: "PATCH", body })).json();
