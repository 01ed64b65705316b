// @ts-check
// Numbers that depend on labels are read again soon after the server has saved an edit.

import * as list from "./micrographs.js";
import * as picks from "./picks.js";
import * as store from "./store.js";
import { pickSets } from "./thumbnails.js";

const PAUSE_MS = 200;
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

/** Read counts, metrics and the visible rows of the list again. */
export function refreshNumbers() {
  clearTimeout(timer);
  timer = setTimeout(() => {
    store.revision.value++;
    pickSets.clear();
    if (store.run.value?.has_picks) {
      picks.readScores();
      list.refresh();
    }
  }, PAUSE_MS);
}
