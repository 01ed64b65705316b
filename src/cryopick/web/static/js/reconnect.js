// @ts-check
// Return to a server that was started again: log in with its new link, and take unsent edits along.

import { post } from "./api.js";
import { StoredValue, tabName } from "./journal.js";
import * as store from "./store.js";
import { sendVerdict } from "./unsaved_verdicts.js";

/** @typedef {import("./journal.js").Journal} Journal */
/** @typedef {import("./types.js").NamedOperation} Op */

/** @type {Journal | null} */
let journal = null;
/** Called after the login. */
let onLogin = () => {};

/** @param {Journal} newJournal @param {() => void} reload */
export function keepInTouch(newJournal, reload) {
  journal = newJournal;
  onLogin = reload;
  if (navigator.locks) {
    // Held as long as this tab exists, so that other tabs leave its edits alone.
    navigator.locks.request(lockOf(tabName()), () => new Promise(() => {})).catch(() => {});
    adoptEdits().catch(() => {});
  }
}

/** @param {string} tab */
const lockOf = (tab) => `cryopick.tab.${tab}`;

/** Take over the unsent edits and verdicts of tabs that were closed. */
async function adoptEdits() {
  const held = new Set((await navigator.locks.query()).held?.map((lock) => lock.name));
  const take = (/** @type {string} */ kind, /** @type {(list: any[]) => void} */ adopt) => {
    const prefix = `cryopick.${kind}.${store.project.value.id}.`;
    for (const name of Object.keys(localStorage).filter((key) => key.startsWith(prefix))) {
      const tab = name.slice(prefix.length);
      if (tab === tabName() || held.has(lockOf(tab))) continue;
      const list = new StoredValue(name).read();
      localStorage.removeItem(name);
      if (Array.isArray(list)) adopt(list);
    }
  };
  take("ops", (ops) => journal?.adopt(ops));
  take("verdicts", (verdicts) => verdicts.forEach(sendVerdict));
}

/** Log in with a link or a token; a link to another address is opened there, with the unsent edits.
 * @param {string} text @returns {Promise<string>} the problem, or an empty text */
export async function login(text) {
  const link = text.trim();
  const token = link.split("#t=").at(-1) ?? "";
  if (!/^[\w-]{20,200}$/.test(token)) return "This link is not complete. A complete link ends in #t= and a long code.";
  const address = link.split("#")[0];
  if (address.includes("://") && !document.baseURI.split("#")[0].startsWith(address)) {
    const edits = encodeURIComponent(JSON.stringify(journal?.waiting ?? []));
    location.href = `${address}#t=${token}&ops=${edits}`;
    return "";
  }
  try {
    await post("login", { token });
  } catch (error) {
    return /** @type {Error} */ (error).message;
  }
  store.expired.value = false;
  journal?.wake();
  onLogin();
  return "";
}

/** Edits that a page at another address has sent along with the link. @param {string | null} text @returns {Op[]} */
export function editsFromLink(text) {
  try {
    const ops = JSON.parse(text ?? "[]");
    return Array.isArray(ops) ? ops.filter((op) => typeof op?.cid === "string" && typeof op.op === "string") : [];
  } catch {
    return [];
  }
}
