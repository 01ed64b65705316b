// @ts-check
// The page and the server in step: the project, the open micrograph, its labels and picks, runs and news.

import { batch, effect } from "../vendor/ui.js";
import { ask, get, patch, post } from "./api.js";
import * as edits from "./edits.js";
import { listenToServer } from "./events.js";
import { Journal } from "./journal.js";
import * as list from "./micrographs.js";
import { forget } from "./planes.js";
import { form } from "./panels/train.js";
import * as picks from "./picks.js";
import * as store from "./store.js";

/** @type {Journal | null} nothing can be edited where there is none */
let journal = null;
let seq = 0;

/** @param {any} state what GET state answered */
export async function start(state) {
  store.project.value = state;
  store.diameter.value = state.diameter_ang || 150;
  restoreView(state);
  takeRuns(state.runs ?? []);
  seq = state.seq ?? 0;
  for (const note of state.notes ?? []) store.tell(note, "warn");
  if (state.read_only) store.tool.value = "hand";
  else beginJournal(state);
  await list.want(0, 20);
  const wanted = kept().micrograph;
  const first = (wanted && (await open(wanted, true))) || list.rowAt(0);
  if (first && !store.micrograph.value) await open(first.id, true);
  if (!list.listing.value.total) store.step.value = "data";
  listenToServer({ op: heardOp, run: heardRun, micrographs: heardMicrographs, notice: (n) => store.tell(n.text, n.kind) }, reload);
  window.addEventListener("beforeunload", (event) => store.saving.value.waiting && event.preventDefault());
  effect(keep);
}

/** @param {any} state */
function beginJournal(state) {
  journal = new Journal(state.id ?? state.path, {
    send: (ops) => post("ops", { ops }).then(countAll),
    apply: (op) => {
      edits.apply(op);
      countLabels();
    },
    state: (waiting, failed) => (store.saving.value = { waiting, failed }),
    refused: (message) => {
      store.tell(`An edit was refused: ${message}`, "bad");
      reload();
    },
  });
  edits.useJournal(journal);
}

/** @param {any} op */
function heardOp(op) {
  seq = Math.max(seq, op.seq ?? 0);
  countAll(op);
  if (journal?.own.has(op.cid)) return;
  edits.apply(op);
  countLabels();
}

/** @param {any} run */
function heardRun(run) {
  const known = store.runs.value.find((r) => r.id === run.id);
  const finished = run.has_picks && !known?.has_picks;
  const suggested = run.kind === "suggest" && run.state === "done" && known?.state !== "done";
  takeRuns(known ? store.runs.value.map((r) => (r.id === run.id ? { ...r, ...run } : r)) : [run, ...store.runs.value]);
  if (finished) {
    forget();
    picks.choose(run.id);
    list.refresh();
    store.tell(`${run.title} has picked: look at it in Inspect.`, "good");
  }
  if (suggested) {
    list.sortBy("suggested");
    store.tell("The micrographs that teach most stand first in the list now.", "good");
  }
  if (run.state === "failed" && known?.state !== "failed") store.tell(`${run.title} failed: ${run.message}`, "bad");
}

function heardMicrographs() {
  list.refresh();
  get("state").then((state) => (store.project.value = state)).catch(() => {});
}

/** @param {any[]} runs */
function takeRuns(runs) {
  store.runs.value = runs;
  if (store.runId.value === null) {
    const last = runs.find((r) => r.has_picks);
    if (last) picks.choose(last.id);
  }
}

/** Something may have been missed: read what is on the stage again. */
export async function reload() {
  try {
    const state = await get("state");
    store.project.value = state;
    takeRuns(state.runs ?? []);
    list.refresh();
    const m = store.micrograph.value;
    if (m) {
      const marks = await fetchLabels(m.id);
      if (store.micrograph.value?.id === m.id) showLabels(marks, m.id);
    }
  } catch {
    // no connection: the stream tries again and comes back here
  }
}

/** @param {any} id @param {boolean} [quiet] @param {number} [since] when the user asked for it
 * @returns {Promise<any>} the micrograph, or null */
export async function open(id, quiet = false, since = performance.now()) {
  try {
    const asked = ++opening;
    const [m, marks] = await Promise.all([get(`micrographs/${id}`), fetchLabels(id)]);
    if (asked !== opening) return m;
    store.asked.at = since;
    batch(() => {
      store.picks.value = null;
      store.micrograph.value = m;
      showLabels(marks, id);
    });
    list.place();
    await picks.load();
    if (!quiet) store.say(`${m.name}, ${store.labels.value.size} labels`);
    return m;
  } catch (error) {
    if (!quiet) store.tell(/** @type {Error} */ (error).message, "bad");
    return null;
  }
}

/** Counts the micrographs opened: of two clicks in a row the last one wins. */
let opening = 0;

/** Labels and regions of a micrograph; asked again when an edit was made meanwhile. @param {any} id @returns {Promise<any>} */
async function fetchLabels(id) {
  const before = journal?.count;
  // The server may answer before it has these: they are put on top of its answer.
  const pending = journal ? [...journal.waiting] : [];
  const answer = await get("labels", { mid: id });
  return journal?.count === before ? { ...answer, pending } : fetchLabels(id);
}

/** @param {any} answer @param {any} id */
function showLabels(answer, id) {
  store.labels.value = new Map(answer.labels.map((/** @type {any} */ l) => [l.id, { ...l, mid: id }]));
  store.regions.value = new Map((answer.regions ?? []).map((/** @type {any} */ r) => [r.id, { ...r, mid: id }]));
  for (const op of answer.pending) edits.apply(op);
  countLabels();
}

/** @param {{n_labels?: number}} told by the server */
function countAll({ n_labels }) {
  if (n_labels !== undefined && n_labels !== store.project.value.n_labels)
    store.project.value = { ...store.project.value, n_labels };
}

function countLabels() {
  const m = store.micrograph.value;
  if (!m) return;
  const all = [...store.labels.value.values()];
  const pos = all.filter((l) => l.kind === "pos").length;
  const neg = all.filter((l) => l.kind === "neg").length;
  list.editRow(m.id, (row) => ({ ...row, pos, neg, state: row.state === "todo" && all.length ? "doing" : row.state }));
}

/** @param {string} state todo, doing, all or skip */
export async function setState(state) {
  const m = store.micrograph.value;
  if (!m) return;
  try {
    store.micrograph.value = { ...m, ...(await patch(`micrographs/${m.id}`, { state })) };
    list.editRow(m.id, (row) => ({ ...row, state }));
    store.say(state === "all" ? "all particles here are marked" : state === "skip" ? "micrograph left out" : "micrograph in use");
  } catch (error) {
    store.tell(/** @type {Error} */ (error).message, "bad");
  }
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let settling;
/** @param {number} ang @param {boolean} final */
export function setDiameter(ang, final) {
  store.diameter.value = ang;
  clearTimeout(settling);
  if (!store.readOnly.value) settling = setTimeout(() => settle({ diameter_ang: ang }), final ? 50 : 600);
}

/** Pixel size or diameter of the whole project. @param {object} change */
export async function settle(change) {
  try {
    store.project.value = await (await ask("state", { method: "PATCH", body: change })).json();
    store.diameter.value = store.project.value.diameter_ang || store.diameter.value;
    if ("pixel_size_ang" in change && store.micrograph.value) await open(store.micrograph.value.id, true);
    list.refresh();
  } catch (error) {
    store.tell(/** @type {Error} */ (error).message, "bad");
  }
}

const VIEW = "cryopick.view";
/** @returns {any} what this browser kept of the view of this project */
function kept() {
  try {
    return JSON.parse(localStorage.getItem(`${VIEW}.${store.project.peek()?.id}`) ?? "{}") ?? {};
  } catch {
    return {};
  }
}

function keep() {
  const { moving, ...lens } = /** @type {any} */ (store.lens.value);
  const view = { step: store.step.value, micrograph: store.micrograph.value?.id, lens, overlay: store.overlay.value, training: form.value };
  try {
    localStorage.setItem(`${VIEW}.${store.project.peek()?.id}`, JSON.stringify(view));
  } catch {
    // a private window forgets the view, not the labels
  }
}

/** @param {any} state */
function restoreView(state) {
  const view = kept();
  if (view.lens) store.lens.value = { ...store.lens.value, ...view.lens };
  if (view.training) form.value = view.training;
  if (view.overlay) store.overlay.value = view.overlay;
  store.step.value = view.step ?? (state.n_micrographs ? "label" : "data");
}

export function restoreTheme() {
  try {
    setTheme(localStorage.getItem("cryopick.theme") ?? "auto");
  } catch {
    setTheme("auto");
  }
}

/** @param {string} theme auto, light or dark */
export function setTheme(theme) {
  store.theme.value = theme;
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  try {
    localStorage.setItem("cryopick.theme", theme);
  } catch {
    // it holds until the page is closed
  }
}
