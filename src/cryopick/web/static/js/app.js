// @ts-check
// The complete page.

import { html, useEffect } from "../vendor/ui.js";
import { act } from "./actions.js";
import { ask, get, post } from "./api.js";
import { begin as beginCandidates } from "./candidates.js";
import * as edits from "./edits.js";
import { clicksOnly, exported, inspected, loadPlan, plan } from "./guide.js";
import * as review from "./review_queue.js";
import { actionOf, isTextField } from "./keys.js";
import * as list from "./micrographs.js";
import { Footer, MicrographPanel } from "./panels/micrograph.js";
import { ImportLabels } from "./panels/import.js";
import { Data, FolderDialog } from "./panels/data.js";
import { DisplayPanel } from "./panels/display.js";
import { Candidates } from "./panels/candidates.js";
import { Export, preview, request, written } from "./panels/export.js";
import { foldClasses } from "./panels/folds.js";
import { Gallery } from "./panels/gallery.js";
import { Announcer, Header, Steps, Toasts } from "./panels/head.js";
import { Guide } from "./panels/guide.js";
import { Help } from "./panels/help.js";
import { MicrographList } from "./panels/list.js";
import { Confirm, confirm } from "./panels/confirm.js";
import { Reconnect } from "./panels/reconnect.js";
import { queue, Review } from "./panels/review.js";
import { Suggest } from "./panels/suggest.js";
import { ThresholdPanel } from "./panels/threshold.js";
import { form, shareOf, Train } from "./panels/train.js";
import { Wall } from "./panels/wall.js";
import { People } from "./panels/people.js";
import * as picks from "./picks.js";
import * as session from "./session.js";
import { estimateSize } from "./size.js";
import * as store from "./store.js";
import { allSent } from "./unsaved_verdicts.js";
import { focusStage, stage } from "./viewer/viewer.js";
import { count } from "./widgets.js";

/** Show the error of a user's request if it fails; an earlier one is closed. @param {Promise<unknown>} work */
const withErrors = (work) => (store.settle("request"), work.catch(store.fail));

/** @param {string} where a step, or review:random */
function go(where) {
  const [step, sample] = where.split(":");
  store.step.value = step;
  if (step === "train") loadPlan();
  if (step === "inspect" && store.run.value) inspected.value = new Set([...inspected.value, store.run.value.id]);
  if (step === "review" && (sample || !queue.value)) review.begin(sample ?? "uncertain");
  if (step === "inspect" && store.overlay.value === "labels") store.overlay.value = "both";
}

/** @param {number} id */
function open(id) {
  if (store.step.value !== "inspect") store.step.value = "label";
  session.open(id);
}

const start = (/** @type {import("./types.js").TrainingSettings} */ f) => {
  form.value = f;
  return withErrors(post("runs", { kind: "train", ...f }));
};
const pick = (/** @type {import("./types.js").TrainingSettings} */ { diameter_ang }) => withErrors(post("runs", { kind: "pick", diameter_ang }));
const suggest = () => withErrors(post("runs", { kind: "suggest", diameter_ang: store.diameter.value }));
const estimate = () => (go("label"), withErrors(estimateSize()));
const stop = (/** @type {string} */ id) => withErrors(post(`runs/${id}:stop`, {}));
const resume = (/** @type {string} */ id) => withErrors(post(`runs/${id}:resume`, {}));
const drop = (/** @type {import("./types.js").Run} */ run) =>
  confirm({
    title: `Delete ${run.title}?`, button: "Delete",
    text: "Its model and picks are hidden; you can restore them on this page. Your labels stay.",
    run: () => void withErrors(ask(`runs/${run.id}`, { method: "DELETE" }).then(session.reload).then(() =>
      store.notify(`${run.title} was deleted.`, "", { button: { label: "Undo", run: () => restore(run.id) } }))),
  });
const restore = (/** @type {string} */ id) => void withErrors(post(`runs/${id}:restore`, {}).then(session.reload));
const purge = (/** @type {{id: string, title: string}} */ run) =>
  confirm({
    title: `Delete ${run.title} permanently?`, button: "Delete permanently",
    text: "Its model and picks are removed from the disk. This cannot be undone.",
    run: () => void withErrors(ask(`runs/${run.id}`, { method: "DELETE", query: { permanently: true } }).then(session.reload)),
  });
const show = (/** @type {string} */ id) => {
  picks.choose(id);
  go("inspect");
};
const retrain = () => {
  go("train");
  allSent().then(() => get("plan")).then((p) => start({ ...p.defaults, ...form.value }));
};

/** Do a step that the guiding strip suggests. @param {string} id */
function follow(id) {
  if (id !== "estimate") store.ruler.value = null;
  if (id === "estimate") estimate();
  else if (id === "add" || id === "pixel") go("data");
  else if (id === "size") (go("label"), act("tool.ruler"), focusStage());
  else if (id === "general") pickFirst();
  else if (id === "clicks") ((clicksOnly.value = true), go("label"));
  else if (id === "click" || id === "accept") go("label");
  else if (id === "candidates") beginCandidates(store.runs.value.find((r) => r.has_picks)?.id ?? "");
  else if (id === "inspect") show(store.runs.value.find((r) => r.kind === "train" && r.has_picks)?.id ?? "");
  else go(id);
}

/** Pick with the general model, the open micrograph first. */
function pickFirst() {
  go("label");
  if (store.overlay.value === "labels") store.overlay.value = "both";
  withErrors(post("runs", { kind: "pick", diameter_ang: store.diameter.value, first: store.micrograph.value?.id }));
}

/** @param {object} source files, folder or pattern */
const importMicrographs = (source) => withErrors(addMicrographs(source));

/** @param {object} source */
async function addMicrographs(source) {
  const { message } = await post("micrographs:import", source);
  store.notify(`${message[0].toUpperCase()}${message.slice(1)}.`, "good");
  await session.reload();
  await list.loadRows(0, 20);
  const first = list.rowAt(0);
  if (!store.micrograph.value && first) await session.open(first.id);
}

const body = (/** @type {boolean} */ dry_run) => ({
  what: store.runs.value.some((r) => r.has_picks) ? request.value.what : "labels",
  run: store.runId.value, formats: request.value.formats, name: request.value.name.trim() || "particles", replace: request.value.replace, box_px: request.value.box_px, dry_run,
});
let previews = 0; // requested so far; an answer to an earlier one is out of date
const updatePreview = () => {
  const number = ++previews;
  written.value = null; // it was another export
  const apply = (/** @type {import("./types.js").ExportSummary} */ summary) => {
    if (number === previews) preview.value = summary;
  };
  picks.flushThreshold().then(() => post("exports", body(true))).then(apply, (e) => apply({ n: 0, n_micrographs: 0, problem: e.message }));
};
const write = () =>
  withErrors(picks.flushThreshold().then(() => post("exports", body(false))).then((w) => {
    written.value = preview.value = w;
    exported.value = true;
  }));

/** @param {KeyboardEvent} event */
function key(event) {
  if (event.defaultPrevented || (isTextField(event.target) && event.key !== "Escape")) return;
  const inDialog = store.dialog.value !== null;
  const onStage = event.target === stage.now?.root;
  const reviewing = !inDialog && (store.step.value === "review" || (store.step.value === "label" && store.candidate.value !== null));
  const action = actionOf(event, { onStage, reviewing });
  if (!action || (inDialog && !["escape", "help", "gallery", "wall"].includes(action))) return;
  if (act(action, event)) event.preventDefault();
}

/** @param {KeyboardEvent} event */
const release = (event) => {
  if (store.hidden.value && event.key.toLowerCase() === "c") store.hidden.value = false;
};

/** @returns {Record<string, string>} numbers shown next to the steps */
function counts() {
  const p = store.project.value;
  const running = store.runs.value.find((r) => r.state === "running" && r.kind !== "size");
  const hasThreshold = store.scores.value && store.threshold.value !== null;
  return {
    data: count(list.listing.value.total || p?.n_micrographs || 0),
    label: p ? count(p.n_labels) : "",
    train: running ? `${Math.floor(100 * shareOf(running))} %` : "",
    inspect: hasThreshold ? count(picks.countSelected()) : "",
    review: queue.value ? `${queue.value.at}/${queue.value.items.length}` : "",
    export: "",
  };
}

export function App() {
  useEffect(() => {
    document.addEventListener("keydown", key);
    document.addEventListener("keyup", release);
    if (store.step.value === "train" || store.step.value === "review") go(store.step.value);
  }, []);
  const step = store.step.value;
  const showsMicrograph = step === "label" || step === "inspect";
  const saved = `${store.saving.value.waiting}`;
  return html`<div class=${`shell ${showsMicrograph ? foldClasses() : "wide"}`}>
    <${Header} setTheme=${session.setTheme} />
    <div class="side"><${Steps} counts=${counts()} go=${go} /><${MicrographList} open=${open} /></div>
    <main class="main"><${Guide} follow=${follow} />
      ${showsMicrograph && html`<${MicrographPanel} act=${act} />`}
      ${step === "data" && html`<${Data} importMicrographs=${importMicrographs} open=${open} changeProject=${session.changeProject} sendProject=${session.sendProject} />`}
      ${step === "train" && html`<${Train} plan=${plan.value} start=${start} pick=${pick} stop=${stop} resume=${resume} show=${show} drop=${drop} restore=${restore} purge=${purge} />`}
      ${step === "review" && html`<${Review} begin=${review.begin} answer=${review.answer} back=${review.back} retrain=${retrain} />`}
      ${step === "export" && html`<${Export} formats=${store.project.value.formats ?? []} updatePreview=${updatePreview} write=${write} version=${saved} />`}
    </main>
    ${showsMicrograph && html`<aside class="tools" aria-label="Display and threshold">
      ${step === "label" && html`<${Candidates} />`}
      ${step === "inspect" && html`<${ThresholdPanel} setThreshold=${picks.setThreshold} setLimits=${picks.setLimits} go=${go} choose=${picks.choose} />`}
      <${DisplayPanel} setDiameter=${session.setDiameter} changeProject=${session.changeProject} act=${act} estimate=${estimate} />
      ${step === "label" && html`<${Suggest} suggest=${suggest} />`}
    </aside>`}
    <${Footer} act=${act} last=${(store.labels.value, edits.lastStep())} />
    <${Toasts} /><${Announcer} /><${Reconnect} />
    ${store.dialog.value === "confirm" && html`<${Confirm} />`}
    ${store.dialog.value === "people" && html`<${People} />`}
    ${store.dialog.value === "help" && html`<${Help} />`}
    ${store.dialog.value === "gallery" && html`<${Gallery} go=${go} />`}
    ${store.dialog.value === "wall" && html`<${Wall} go=${go} />`}
    ${store.dialog.value === "folder" && html`<${FolderDialog} importMicrographs=${importMicrographs} />`}
    ${store.dialog.value === "labels" && html`<${ImportLabels} done=${session.reload} />`}
  </div>`;
}
