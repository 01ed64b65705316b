// @ts-check
// Synchronization of page and server: project, open micrograph, labels, picks, runs and events.

import { batch, effect } from "../vendor/ui.js";
import { ask, get, patch, post } from "./api.js";
import { begin as beginCandidates, continueWith } from "./candidates.js";
import * as edits from "./edits.js";
import { listenToServer } from "./events.js";
import { Journal } from "./journal.js";
import * as list from "./micrographs.js";
import { clearScores } from "./score_layer.js";
import { form } from "./panels/train.js";
import * as picks from "./picks.js";
import { keepInTouch } from "./reconnect.js";
import { refreshNumbers } from "./refresh.js";
import { resizeCircle, takeEstimate } from "./size.js";
import * as store from "./store.js";
import { resumeVerdicts } from "./unsaved_verdicts.js";

/** @type {Journal | null} null if the project is read-only */
let journal = null;
let seq = 0;

/** @param {import("./types.js").ProjectState} state response of GET state */
export async function start(state) {
  store.project.value = state;
  store.diameter.value = state.diameter_ang || 150;
  restoreView(state);
  setRuns(state.runs ?? []);
  seq = state.seq ?? 0;
  for (const note of state.notes ?? []) store.notify(note, "warn");
  if (state.read_only) store.tool.value = "hand";
  else startJournal(state);
  await list.loadRows(0, 20);
  const last = storedView().micrograph;
  const first = (last && (await open(last, true))) || list.rowAt(0);
  if (first && !store.micrograph.value) await open(first.id, true);
  if (!list.listing.value.total) store.step.value = "data";
  listenToServer({ op: onOperation, run: onRun, runs: () => void reload(), people: () => store.revision.value++, micrographs: onMicrographs }, catchUp);
  window.addEventListener("beforeunload", (event) => store.saving.value.waiting && event.preventDefault());
  effect(storeView);
}

/** @param {import("./types.js").ProjectState} state */
function startJournal(state) {
  journal = new Journal(state.id ?? state.path, {
    send: (ops) => post("ops", { ops }).then(countAll).then(() => reloadAfter(ops)).then(refreshNumbers),
    apply: (op) => {
      edits.apply(op);
      countLabels();
    },
    state: (waiting, failed) => (store.saving.value = { waiting, failed }),
    onRejected: (message) => {
      store.notify(`An edit was rejected: ${message}`, "bad");
      reload();
    },
  });
  edits.useJournal(journal);
  keepInTouch(journal, reload);
  resumeVerdicts(state.id);
}

/** Load the labels again after operations that change many of them. @param {import("./types.js").Operation[]} ops */
const reloadAfter = (ops) => void (ops.some((op) => op.op === "unbatch" || op.op === "rebatch") && reload());

/** Send edits that a page at another address has not sent. @param {import("./types.js").NamedOperation[]} ops */
export const adopt = (ops) => journal?.adopt(ops);

/** @param {import("./types.js").NamedOperation} op */
function onOperation(op) {
  seq = Math.max(seq, op.seq ?? 0);
  countAll(op);
  if (journal?.sent.has(op.cid)) return;
  edits.apply(op);
  countLabels();
  reloadAfter([op]);
  refreshNumbers();
}

/** @param {import("./types.js").Run} run */
function onRun(run) {
  const previous = store.runs.value.find((r) => r.id === run.id);
  const first = run.has_picks && !previous?.has_picks;
  const finished = run.has_picks && run.state !== "running" && (first || previous?.state === "running");
  const grown = run.has_picks && run.n_picks !== previous?.n_picks;
  const suggested = run.kind === "suggest" && run.state === "done" && previous?.state !== "done";
  setRuns(previous ? store.runs.value.map((r) => (r.id === run.id ? { ...r, ...run } : r)) : [run, ...store.runs.value]);
  if (first && run.kind === "pick" && store.step.value === "label") picks.choose(run.id).then(() => beginCandidates(run.id));
  else if (grown && store.runId.value === run.id) {
    picks.load();
    refreshNumbers();
  }
  if (grown || finished) continueWith(run.id);
  if (finished) {
    clearScores();
    if (store.runId.value !== run.id) picks.choose(run.id);
    list.refresh();
    if (run.kind !== "import") store.notify(`${run.title} is finished; see its picks under Inspect.`, "good");
  }
  if (suggested) {
    list.sortBy("suggested");
    beginCandidates(run.id);
    store.notify("The list now starts with the micrographs that are suggested for labelling; their best candidates are shown.", "good");
  }
  if (run.kind === "size" && run.state === "done" && previous?.state !== "done") takeEstimate().catch(() => {});
  if (run.state === "failed" && previous?.state !== "failed") store.notify(`${run.title} failed: ${run.message}`, "bad", { cause: `run ${run.id}` });
  if (run.state !== "failed") store.settle(`run ${run.id}`);
}

function onMicrographs() {
  list.refresh();
  get("state").then((state) => (store.project.value = state)).catch(() => {});
}

/** @param {import("./types.js").Run[]} runs */
function setRuns(runs) {
  store.runs.value = runs;
  for (const { cause } of store.toasts.value) if (cause.startsWith("run ") && !runs.some((r) => `run ${r.id}` === cause && r.state === "failed")) store.settle(cause);
  if (!runs.some((r) => r.id === store.runId.value)) {
    store.runId.value = store.picks.value = store.scores.value = null; // the run was deleted
  }
  if (store.runId.value === null) {
    const last = runs.find((r) => r.has_picks);
    if (last) picks.choose(last.id);
  }
}

/** Load what has changed while no events arrived. @param {boolean} again the stream was interrupted */
async function catchUp(again) {
  if (again) return reload();
  const state = await get("state").catch(() => null);
  const known = { ...store.project.value, runs: store.runs.value, seq };
  if (state && versionOf(state) !== versionOf(known)) await reload();
}

/** What changes in a project. @param {import("./types.js").ProjectState} state */
const versionOf = (state) => JSON.stringify([state.seq, state.n_labels, state.n_micrographs, state.n_unread, (state.runs ?? []).map((r) => [r.id, r.state, r.n_picks])]);

/** Load everything on the page again, because events may be missing. */
export async function reload() {
  try {
    const state = await get("state");
    store.settle("request");
    store.project.value = state;
    setRuns(state.runs ?? []);
    list.refresh();
    const m = store.micrograph.value;
    if (m) {
      const annotations = await fetchLabels(m.id);
      if (store.micrograph.value?.id === m.id) showLabels(annotations, m.id);
    }
  } catch {
    // no connection: the stream tries again and comes back here
  }
}

/** @param {number} id @param {boolean} [quiet] @param {number} [since] time of the user's request
 * @returns {Promise<import("./types.js").MicrographRow | null>} the micrograph, or null */
export async function open(id, quiet = false, since = performance.now()) {
  try {
    const request = ++requests;
    const [m, annotations] = await Promise.all([get(`micrographs/${id}`), fetchLabels(id)]);
    if (request !== requests) return m;
    store.requested.at = since;
    batch(() => {
      store.picks.value = null;
      store.micrograph.value = m;
      showLabels(annotations, id);
    });
    list.findIndex();
    await picks.load();
    if (!quiet) store.announce(`${m.name}, ${store.labels.value.size} labels`);
    return m;
  } catch (error) {
    if (!quiet) store.fail(error);
    return null;
  }
}

/** Number of requests to open a micrograph; only the last one takes effect. */
let requests = 0;

/** Load labels and regions of a micrograph; repeated if an edit was made meanwhile. @param {number} id @returns {Promise<import("./types.js").AnnotationList>} */
async function fetchLabels(id) {
  const before = journal?.count;
  // The response may not contain these operations yet; they are applied to it.
  const pending = journal ? [...journal.waiting] : [];
  const answer = await get("labels", { mid: id });
  return journal?.count === before ? { ...answer, pending } : fetchLabels(id);
}

/** @param {import("./types.js").AnnotationList} answer @param {number} id */
function showLabels(answer, id) {
  store.labels.value = new Map(answer.labels.map((l) => [l.id, { ...l, mid: id }]));
  store.regions.value = new Map((answer.regions ?? []).map((r) => [r.id, { ...r, mid: id }]));
  for (const op of answer.pending) edits.apply(op);
  countLabels();
}

/** @param {{n_labels?: number}} answer of the server */
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
    refreshNumbers();
    store.announce(state === "all" ? "all particles are labelled" : state === "skip" ? "micrograph excluded" : "micrograph included");
  } catch (error) {
    store.fail(error);
  }
}

/** @type {ReturnType<typeof setTimeout> | undefined} */
let diameterTimer;
/** @param {number} ang @param {boolean} final */
export function setDiameter(ang, final) {
  store.diameter.value = ang;
  resizeCircle(ang);
  clearTimeout(diameterTimer);
  if (!store.readOnly.value) diameterTimer = setTimeout(() => changeProject({ diameter_ang: ang }), final ? 50 : 600);
}

/** Set pixel size or diameter of the project. @param {object} change */
export async function changeProject(change) {
  store.settle("request");
  try {
    await sendProject(change);
  } catch (error) {
    store.fail(error);
  }
}

/** Set pixel size or diameter; rejects if the server refuses it. @param {object} change */
export async function sendProject(change) {
  store.project.value = await (await ask("state", { method: "PATCH", body: change })).json();
  store.diameter.value = store.project.value.diameter_ang || store.diameter.value;
  if ("pixel_size_ang" in change && store.micrograph.value) await open(store.micrograph.value.id, true);
  list.refresh();
}

const VIEW = "cryopick.view";
/** @returns {import("./types.js").StoredView} the view of this project that this browser stored */
function storedView() {
  try {
    return JSON.parse(localStorage.getItem(`${VIEW}.${store.project.peek()?.id}`) ?? "{}") ?? {};
  } catch {
    return {};
  }
}

function storeView() {
  const { moving, ...lens } = store.lens.value;
  const view = { step: store.step.value, micrograph: store.micrograph.value?.id, lens, overlay: store.overlay.value, scoreOpacity: store.scoreOpacity.value, showBoxes: store.showBoxes.value, folded: store.folded.value, training: form.value };
  try {
    localStorage.setItem(`${VIEW}.${store.project.peek()?.id}`, JSON.stringify(view));
  } catch {
    // a private window does not store the view; labels are stored on the server
  }
}

/** @param {import("./types.js").ProjectState} state */
function restoreView(state) {
  const view = storedView();
  if (view.lens) store.lens.value = { ...store.lens.value, ...view.lens };
  if (store.lens.value.view === "scores") store.lens.value = { ...store.lens.value, view: "filtered" };
  if (view.scoreOpacity) store.scoreOpacity.value = view.scoreOpacity;
  store.showBoxes.value = view.showBoxes === true;
  store.folded.value = view.folded ?? (window.innerWidth < 1000 ? { side: true } : {});
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
    // valid until the page is closed
  }
}
