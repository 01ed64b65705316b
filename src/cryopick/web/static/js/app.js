// @ts-check
// The page put together.

import { html, signal, useEffect } from "../vendor/ui.js";
import { act } from "./actions.js";
import { ask, get, post } from "./api.js";
import * as edits from "./edits.js";
import * as judge from "./judge.js";
import { actionOf, typing } from "./keys.js";
import * as list from "./micrographs.js";
import { Bench, Foot } from "./panels/bench.js";
import { BringLabels } from "./panels/bring.js";
import { Data, FolderDialog } from "./panels/data.js";
import { DisplayPanel } from "./panels/display.js";
import { Export, preview, wish, written } from "./panels/export.js";
import { Gallery } from "./panels/gallery.js";
import { Head, Said, Steps, Toasts } from "./panels/head.js";
import { Help } from "./panels/help.js";
import { MicrographList } from "./panels/list.js";
import { queue, Review } from "./panels/review.js";
import { Suggest } from "./panels/suggest.js";
import { ThresholdPanel } from "./panels/threshold.js";
import { form, Train } from "./panels/train.js";
import * as picks from "./picks.js";
import * as session from "./session.js";
import * as store from "./store.js";
import { stage } from "./viewer/viewer.js";
import { count } from "./widgets.js";

const plan = signal(/** @type {any} */ (null));
const task = signal(/** @type {any} */ (null));

/** @param {Promise<any>} work what may be refused is told */
const tried = (work) => work.catch((error) => void store.tell(error.message, "bad"));

/** @param {string} where a step, or review:random */
function go(where) {
  const [step, sample] = where.split(":");
  store.step.value = step;
  if (step === "train") tried(get("plan").then((p) => (plan.value = p)));
  if (step === "review" && (sample || !queue.value)) judge.begin(sample ?? "uncertain");
  if (step === "inspect" && store.overlay.value === "labels") store.overlay.value = "both";
}

/** @param {any} id */
function open(id) {
  if (store.step.value !== "inspect") store.step.value = "label";
  session.open(id);
}

const start = (/** @type {any} */ f) => {
  form.value = f;
  return tried(post("runs", { kind: "train", ...f }));
};
const pick = (/** @type {any} */ { diameter_ang }) => tried(post("runs", { kind: "pick", diameter_ang }));
const suggest = () => tried(post("runs", { kind: "suggest", diameter_ang: store.diameter.value }));
const stop = (/** @type {any} */ id) => tried(post(`runs/${id}:stop`, {}));
const resume = (/** @type {any} */ id) => tried(post(`runs/${id}:resume`, {}));
const drop = (/** @type {any} */ run) =>
  tried(ask(`runs/${run.id}`, { method: "DELETE" }).then(session.reload));
const show = (/** @type {any} */ id) => {
  picks.choose(id);
  go("inspect");
};
const retrain = () => {
  go("train");
  judge.settled().then(() => get("plan")).then((p) => start({ ...p.defaults, ...form.value }));
};

const importMicrographs = (/** @type {object} */ what) =>
  tried(post("micrographs:import", what).then((answer) => {
    store.tell(answer.message ?? `${count(answer.added)} micrographs added.`, "good");
    session.reload().then(() => list.want(0, 20)).then(() => !store.micrograph.value && list.rowAt(0) && session.open(list.rowAt(0).id));
  }));

const body = (/** @type {boolean} */ dry_run) => ({
  what: store.runs.value.some((r) => r.has_picks) ? wish.value.what : "labels",
  run: store.runId.value, formats: wish.value.formats, name: wish.value.name, replace: wish.value.replace, dry_run,
});
const look = () => {
  picks.settled().then(() => post("exports", body(true))).then((p) => (preview.value = p), (e) => (preview.value = { n: 0, n_micrographs: 0, problem: e.message }));
};
const write = () =>
  tried(picks.settled().then(() => post("exports", body(false))).then((w) => (written.value = preview.value = w)));

/** @param {KeyboardEvent} event */
function key(event) {
  if (event.defaultPrevented || (typing(event.target) && event.key !== "Escape")) return;
  const inDialog = store.dialog.value !== null;
  const onStage = event.target === stage.now?.root;
  const reviewing = store.step.value === "review" && !inDialog;
  const action = actionOf(event, { onStage, reviewing });
  if (!action || (inDialog && !["escape", "help", "gallery"].includes(action))) return;
  if (act(action, event)) event.preventDefault();
}

/** @param {KeyboardEvent} event */
const release = (event) => {
  if (store.hidden.value && event.key.toLowerCase() === "c") store.hidden.value = false;
};

/** @returns {Record<string, string>} what stands behind each step's name */
function counts() {
  const p = store.project.value;
  const running = store.runs.value.find((r) => r.state === "running");
  const kept = store.scores.value && store.threshold.value !== null;
  return {
    data: count(list.listing.value.total || p?.n_micrographs || 0),
    label: p ? count(p.n_labels) : "",
    train: running ? `${Math.round((100 * (running.progress?.step ?? 0)) / (running.progress?.steps || 1))} %` : "",
    inspect: kept ? count(picks.keptNow()) : "",
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
  const bench = step === "label" || step === "inspect";
  const saved = `${store.saving.value.waiting}`;
  return html`<div class=${`shell ${bench ? "" : "wide"}`}>
    <${Head} setTheme=${session.setTheme} />
    <div class="side"><${Steps} counts=${counts()} go=${go} /><${MicrographList} open=${open} /></div>
    <main class="main">
      ${bench && html`<${Bench} act=${act} />`}
      ${step === "data" && html`<${Data} importMicrographs=${importMicrographs} open=${open} settle=${session.settle} task=${task.value} />`}
      ${step === "train" && html`<${Train} plan=${plan.value} start=${start} pick=${pick} stop=${stop} resume=${resume} show=${show} drop=${drop} />`}
      ${step === "review" && html`<${Review} begin=${judge.begin} answer=${judge.answer} back=${judge.back} retrain=${retrain} />`}
      ${step === "export" && html`<${Export} formats=${store.project.value.formats ?? []} look=${look} write=${write} version=${saved} />`}
    </main>
    ${bench && html`<aside class="tools" aria-label="Display and threshold">
      ${step === "inspect" && html`<${ThresholdPanel} setThreshold=${picks.setThreshold} setLimits=${picks.setLimits} go=${go} choose=${picks.choose} />`}
      <${DisplayPanel} setDiameter=${session.setDiameter} act=${act} />
      ${step === "label" && html`<${Suggest} suggest=${suggest} />`}
    </aside>`}
    <${Foot} act=${act} last=${(store.labels.value, edits.lastStep())} />
    <${Toasts} /><${Said} />
    ${store.dialog.value === "help" && html`<${Help} />`}
    ${store.dialog.value === "gallery" && html`<${Gallery} go=${(/** @type {number} */ x, /** @type {number} */ y) => {
      store.dialog.value = null;
      stage.now?.setView({ ...stage.now.view, cx: x, cy: y, zoom: Math.max(stage.now.view.zoom, 60 / store.radiusPx.value) });
    }} />`}
    ${store.dialog.value === "folder" && html`<${FolderDialog} importMicrographs=${importMicrographs} />`}
    ${store.dialog.value === "labels" && html`<${BringLabels} done=${session.reload} />`}
  </div>`;
}
