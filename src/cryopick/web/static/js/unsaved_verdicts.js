// @ts-check
// Verdicts of a review, stored in the browser until the server has saved them.

import { post, RequestError } from "./api.js";
import { StoredValue, tabName } from "./journal.js";
import * as store from "./store.js";

/** @type {object[]} */
let unsent = [];
/** @type {StoredValue | null} */
let stored = null;
/** Resolves when the verdicts so far were sent. @type {Promise<void>} */
let pending = Promise.resolve();

/** Send the verdicts that an earlier page of this tab could not send. @param {string} project */
export function resumeVerdicts(project) {
  stored = new StoredValue(`cryopick.verdicts.${project}.${tabName()}`);
  const left = stored.read();
  for (const verdict of Array.isArray(left) ? left : []) sendVerdict(verdict);
}

/** @param {object} verdict */
export function sendVerdict(verdict) {
  unsent.push(verdict);
  stored?.write(unsent);
  pending = pending.then(() => sendUntilSaved(verdict)).then(() => {
    unsent = unsent.filter((other) => other !== verdict);
    stored?.write(unsent);
  });
}

/** @param {object} verdict */
async function sendUntilSaved(verdict) {
  for (let pause = 500; ; pause = Math.min(5000, pause * 2)) {
    try {
      await post("verdicts", { verdicts: [verdict] });
      return;
    } catch (error) {
      const status = error instanceof RequestError ? error.status : 0;
      if ([403, 404, 422].includes(status)) return store.notify(`An answer was rejected: ${/** @type {Error} */ (error).message}`, "bad");
      await new Promise((wake) => setTimeout(wake, pause));
    }
  }
}

/** Resolves when all verdicts were sent. */
export const allSent = () => pending;
