// @ts-check
// Actions of keys and buttons, by name.

import * as candidates from "./candidates.js";
import * as edits from "./edits.js";
import * as list from "./micrographs.js";
import * as picks from "./picks.js";
import * as review from "./review_queue.js";
import { cycleOpacity } from "./score_layer.js";
import * as session from "./session.js";
import * as store from "./store.js";
import { toImage } from "./viewer/view.js";
import { closeOutline, forgetRuler, press, removeAt, stage } from "./viewer/viewer.js";

const NAMES = /** @type {Record<string, string>} */ ({ pos: "particle", neg: "not a particle", polygon: "exclude" });
const VIEWS = /** @type {Record<string, string>} */ ({ 1: "raw", 2: "filtered", 3: "denoised" });

/** @param {object} change */
const setLens = (change) => (store.lens.value = { ...store.lens.value, ...change });

/** Perform an action. @param {string} action @param {KeyboardEvent} [event] @returns {boolean} false if there is no such action */
export function act(action, event) {
  const [name, more] = action.split(".");
  const run = ACTIONS_BY_NAME[action] ?? ACTIONS_BY_NAME[name];
  if (!run) return false;
  run(more ?? "", event);
  return true;
}

/** @type {Record<string, (more: string, event?: KeyboardEvent) => void>} */
const ACTIONS_BY_NAME = {
  tool: (which) => {
    store.tool.value = which;
    if (which !== "polygon") store.outline.value = null;
    store.ruler.value = null;
    forgetRuler();
    store.announce(`tool: ${NAMES[which] ?? which}`);
  },
  undo: () => (store.step.value === "review" ? review.undoAnswer() : follow(edits.undo())),
  redo: () => store.step.value !== "review" && follow(edits.redo()),
  all: () => session.setState(store.micrograph.value?.state === "all" ? "doing" : "all"),
  skip: () => session.setState(store.micrograph.value?.state === "skip" ? "todo" : "skip"),
  saved: () => {
    const { waiting, failed } = store.saving.value;
    store.notify(failed ? "The server does not respond. Your edits are stored in this browser and sent as soon as it responds." : waiting ? "Saving…" : "Everything is saved. Each edit is saved immediately.", failed ? "warn" : "good");
  },
  previous: (_, event) => step(list.neighbour(-1), event),
  next: (_, event) => step(list.neighbour(1), event),
  todo: (_, event) => step(list.nextTodo(), event),
  gallery: () => (store.dialog.value = store.dialog.value === "gallery" ? null : "gallery"),
  wall: () => (store.dialog.value = store.dialog.value === "wall" ? null : "wall"),
  lower: (fine, event) => changeThresholdOrBrush(-1, fine, event),
  higher: (fine, event) => changeThresholdOrBrush(1, fine, event),
  zoom: (which) => stage.now?.zoom(which === "in" ? 1.4 : 1 / 1.4),
  fit: () => stage.now?.fit(),
  one: () => stage.now?.oneToOne(),
  invert: () => setLens({ invert: !store.lens.value.invert }),
  overlay: () => {
    const order = ["both", "labels", "picks"];
    store.overlay.value = order[(order.indexOf(store.overlay.value) + 1) % 3];
    store.announce(`showing ${store.overlay.value}`);
  },
  hide: () => (store.hidden.value = true),
  view: (k) => setLens({ view: VIEWS[k] }),
  scores: cycleOpacity,
  boxes: () => (store.showBoxes.value = !store.showBoxes.value),
  panels: () => {
    const { side, tools } = store.folded.value;
    store.folded.value = side && tools ? {} : { side: true, tools: true };
  },
  left: (_, event) => moveCursor(-1, 0, event),
  right: (_, event) => moveCursor(1, 0, event),
  up: (_, event) => moveCursor(0, -1, event),
  down: (_, event) => moveCursor(0, 1, event),
  act: () => {
    if (store.outline.value && store.outline.value.length > 2 && !store.cursor.value) return closeOutline();
    const at = cursorPosition();
    const first = store.outline.value?.[0];
    if (first && Math.hypot(first[0] - at[0], first[1] - at[1]) < 8 / store.zoom.value) return closeOutline();
    press(...at);
  },
  delete: () => {
    if (store.selected.value) edits.remove([store.selected.value]);
    else if (store.cursor.value) removeAt(...store.cursor.value);
  },
  label: (which) => nextLabel(which === "next" ? 1 : -1),
  yes: () => answer("yes"),
  no: () => answer("no"),
  unsure: () => answer("unsure"),
  back: () => (store.step.value === "review" ? review.back() : candidates.skip()),
  help: () => (store.dialog.value = store.dialog.value === "help" ? null : "help"),
  escape: () => {
    if (store.dialog.value) store.dialog.value = null;
    else if (store.outline.value) store.outline.value = null;
    else if (store.candidate.value) candidates.end();
    else if (store.cursor.value) store.cursor.value = null;
    else if (store.selected.value) store.selected.value = null;
    else act("tool.pos");
  },
};

/** @param {Promise<import("./types.js").MicrographRow | null>} row @param {KeyboardEvent} [event] */
async function step(row, event) {
  const next = await row;
  if (next) await session.open(next.id, false, event?.timeStamp);
  else store.announce("no further micrograph");
}

/** Answer for the candidate on the micrograph, or the pick under review. @param {string} verdict */
const answer = (verdict) => (store.step.value === "review" ? review.answer(verdict) : candidates.answer(verdict));

/** Open the micrograph of an edit that was undone. @param {import("./journal.js").Step | null} done */
function follow(done) {
  if (done && done.mid !== store.micrograph.value?.id) session.open(done.mid);
}

/** @param {number} by @param {string} fine @param {KeyboardEvent} [event] */
function changeThresholdOrBrush(by, fine, event) {
  if (store.tool.value === "erase" && !fine)
    store.brushAng.value = Math.round(Math.min(3000, Math.max(20, store.brushAng.value * 1.15 ** by)));
  else picks.step(by * (fine ? 1 : 16), event?.timeStamp);
}

/** Position of the keyboard cursor; initially the centre of the view. @returns {[number, number]} */
function cursorPosition() {
  if (!store.cursor.value && stage.now) {
    const { size, view } = stage.now;
    store.cursor.value = /** @type {[number, number]} */ (toImage(view, size, size.width / 2, size.height / 2).map(Math.round));
  }
  return store.cursor.value ?? [0, 0];
}

/** @param {number} dx @param {number} dy @param {KeyboardEvent} [event] */
function moveCursor(dx, dy, event) {
  const m = store.micrograph.value;
  if (!m || !stage.now) return;
  if (event?.ctrlKey || event?.metaKey) return stage.now.pan(-dx * 120, -dy * 120);
  const [x, y] = cursorPosition();
  const far = event?.shiftKey ? 1 : Math.max(1, 12 / store.zoom.value);
  const to = /** @type {[number, number]} */ ([
    Math.min(m.width_px - 1, Math.max(0, x + dx * far)), Math.min(m.height_px - 1, Math.max(0, y + dy * far)),
  ]);
  store.cursor.value = to;
  stage.now.reveal(...to);
}

/** @param {number} by */
function nextLabel(by) {
  const all = [...store.labels.value.values()];
  if (!all.length) return;
  const at = all.findIndex((l) => l.id === store.selected.value);
  const next = all[(at + by + all.length + (at < 0 && by < 0 ? 1 : 0)) % all.length];
  store.selected.value = next.id;
  stage.now?.reveal(next.x, next.y);
  store.announce(`label ${all.indexOf(next) + 1} of ${all.length}, x ${Math.round(next.x)}, y ${Math.round(next.y)}`);
}
