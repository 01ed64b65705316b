// @ts-check
// Training: settings, progress and earlier runs.

import { html, signal } from "../../vendor/ui.js";
import { Chart } from "../chart.js";
import { advice, comparison, highlight } from "../guide.js";
import * as store from "../store.js";
import { count, formatDuration, NumberBox, percent, plural } from "../widgets.js";

/** Values of the form until training starts. @type {{value: Partial<import("../types.js").TrainingSettings>}} */
export const form = signal({});
/** @param {string} name @param {unknown} value */
const set = (name, value) => (form.value = { ...form.value, [name]: value });

const STATES = /** @type {Record<string, [string, string]>} */ ({
  queued: ["queued", ""], running: ["running", "on"], done: ["done", "good"],
  stopped: ["stopped", "warn"], failed: ["failed", "bad"],
});

/** @param {{plan: import("../types.js").TrainingPlan | null, start: (form: import("../types.js").TrainingSettings) => void, pick: (form: import("../types.js").TrainingSettings) => void,
 * stop: (id: string) => void, resume: (id: string) => void, show: (id: string) => void, drop: (run: import("../types.js").Run) => void,
 * restore: (id: string) => void, purge: (run: {id: string, title: string}) => void}} props */
export function Train({ plan, start, pick, stop, resume, show, drop, restore, purge }) {
  const runs = store.runs.value.filter((r) => r.kind !== "size");
  const now = runs.find((r) => r.state === "running" || r.state === "queued");
  return html`<div class="page"><div class="inner">
    <header><h1>Train a model</h1>
      <p class="lead">The model is trained on the particles that you labelled. Unlabelled areas are not treated as background, so some labels on a few micrographs are enough.</p></header>
    <div class="columns">
      <${Form} plan=${plan} start=${start} pick=${pick} busy=${Boolean(now)} />
      <${Progress} run=${now ?? runs[0]} stop=${stop} resume=${resume} show=${show} />
    </div>
    <${Runs} runs=${runs} show=${show} drop=${drop} />
    <${DeletedRuns} restore=${restore} purge=${purge} />
  </div></div>`;
}

/** @param {{plan: import("../types.js").TrainingPlan | null, start: (form: import("../types.js").TrainingSettings) => void, pick: (form: import("../types.js").TrainingSettings) => void, busy: boolean}} props */
function Form({ plan, start, pick, busy }) {
  if (!plan) return html`<section class="card"><p class="muted">Counting labels…</p></section>`;
  const f = { ...plan.defaults, ...form.value };
  const number = (/** @type {"diameter_ang" | "particles_per_micrograph"} */ name, /** @type {object} */ more = {}) => html`<${NumberBox} value=${f[name]} ...${more}
    on=${(/** @type {number | null} */ v) => set(name, v)} />`;
  return html`<form class="card" onSubmit=${(/** @type {Event} */ e) => (e.preventDefault(), start(f))}>
    <header><h2>Training data and settings</h2></header>
    <dl class="facts-grid">
      <dt>Labelled particles</dt><dd data-test="train-labels">${count(plan.labels)} on ${plural(plan.micrographs, "micrograph")}</dd>
      <dt>Negative labels</dt><dd>${count(plan.negatives)}</dd>
      <dt>Fully labelled micrographs</dt><dd>${count(plan.complete)}</dd>
    </dl>
    ${(plan.warnings ?? []).map((/** @type {string} */ w) => html`<p class="note warn" key=${w}>${w}</p>`)}
    <div class="fields">
      <label class="field"><span class="name">Particle diameter, Å</span>${number("diameter_ang", { min: 10, max: 5000, step: "any", required: true })}
        <span class="hint">The diameter of the circles.</span></label>
      <label class="field"><span class="name">Particles per micrograph</span>${number("particles_per_micrograph", { min: 1, max: 100000, placeholder: plan.estimate ?? (plan.expected ? `about ${count(plan.expected)}` : "estimated") })}
        <span class="hint">${plan.estimate ? `About ${count(plan.estimate)} on fully labelled micrographs.` : `Leave it empty to estimate it from your labels${plan.expected ? `; the scores of the last run suggest about ${count(plan.expected)}` : ""}.`}</span></label>
    </div>
    <label class="field"><span class="name">Duration</span><select value=${f.preset} onChange=${(/** @type {import("../types.js").FieldEvent} */ e) => set("preset", e.target.value)}>
      ${(plan.presets ?? []).map((p) => html`<option key=${p.id} value=${p.id}>${p.name}</option>`)}</select></label>
    <label class="tick"><input type="checkbox" checked=${f.pick ?? true} onChange=${(/** @type {import("../types.js").FieldEvent} */ e) => set("pick", e.target.checked)} />
      Pick all ${count(plan.all_micrographs)} micrographs afterwards</label>
    ${plan.refusal && html`<p class="note bad">${plan.refusal}</p>`}
    <div class="buttons"><button class=${highlight("train")} type="submit" disabled=${Boolean(plan.refusal)}>${busy ? "Queue training" : "Start training"}</button>
      <button type="button" disabled=${!plan.all_micrographs} onClick=${() => pick(f)} title="With the general model, which was trained on simulated particles">Pick without training</button></div>
  </form>`;
}

/** @param {{run: import("../types.js").Run | undefined, stop: (id: string) => void, resume: (id: string) => void, show: (id: string) => void}} props */
function Progress({ run, stop, resume, show }) {
  if (!run) return html`<section class="card"><div class="empty"><h2>No runs yet</h2><p>Training curves are shown here.</p></div></section>`;
  const [stateName, kind] = STATES[run.state] ?? [run.state, ""];
  const p = run.progress ?? {};
  const c = run.curves;
  const losses = lossSeries(c);
  return html`<section class="card" aria-label="Progress">
    <header><h2>${run.title}</h2><span class=${`badge ${kind}`} data-test="run-state">${stateName}</span></header>
    ${run.state === "running" && html`<div><progress value=${shareOf(run)} max="1" aria-label="Progress of the whole run"></progress>
      <p class="muted small num" style="margin-top:6px"><strong data-test="time-left">${run.overall ? `about ${formatDuration(roundTime(run.overall.seconds_left))} left` : "starting"}</strong> · ${[p.stage ?? "Starting", p.total && `${count(p.done)} of ${count(p.total)}`].filter(Boolean).join(" · ")}</p></div>`}
    ${run.state === "failed" && html`<p class="note bad">${run.message}</p>`}
    ${(run.notices ?? []).map((n) => html`<p class=${`note ${n.code === "model_comparison" ? "" : "warn"}`} key=${n.message}>${n.message}</p>`)}
    ${c.step?.length > 0 && html`
      ${c.step.length > 1 && html`<div><h3>Loss</h3><${Chart} title="Loss" x="step" y="" names=${losses.map(([name]) => name)} data=${[c.step, ...losses.map(([, values]) => values)]} mark=${warmUp(run)} />
        ${losses.length > 1 && html`<p class="legend small muted"><span class="series-0">First network</span> <span class="series-1">Second network, trained after the first</span></p>`}
        ${warmUp(run) && html`<p class="muted small">Up to step ${count(run.warm_up_steps)} the model learns from blobs, then from your labels. The two losses cannot be compared, so the curve jumps there.</p>`}</div>`}
      ${c.average_precision.length > 1 && html`<div><h3>Held-out particles</h3><${Chart} title="Held-out particles" x="step" y="average precision" names=${["held out"]}
        data=${[c.average_precision_step, c.average_precision]} /></div>`}
      <details><summary>Loss as a table</summary><div class="log"><table><thead><tr><th class="right">Step</th>${losses.map(([name]) => html`<th class="right">${name}</th>`)}</tr></thead>
        <tbody>${c.step.slice(-50).map((s, k, all) => html`<tr key=${s}><td class="right">${count(s)}</td>
          ${losses.map(([, values]) => html`<td class="right">${values.at(k - all.length)?.toPrecision(4) ?? "–"}</td>`)}</tr>`)}</tbody></table></div></details>`}
    ${run.log?.length > 0 && html`<details><summary>Output</summary><pre class="log mono">${run.log.join("\n")}</pre></details>`}
    <div class="buttons">
      ${(run.state === "running" || run.state === "queued") && html`<button onClick=${() => stop(run.id)}>${run.kind === "train" ? "Stop and keep the best model" : "Stop"}</button>`}
      ${run.can_resume && html`<button onClick=${() => resume(run.id)} title="Continue the training, or pick with the trained model">Resume</button>`}
      ${run.has_picks && html`<button onClick=${() => show(run.id)}>Inspect the picks</button>`}
    </div>
  </section>`;
}

/** Names and values of the losses; a training from the general model has those of two networks.
 * @param {import("../types.js").Curves} curves @returns {[string, (number | null)[]][]} */
const lossSeries = (curves) => (curves.partner_loss.some((v) => v !== null) ? [["First network", curves.partner_loss], ["Second network", curves.loss]] : [["Loss", curves.loss]]);

/** Highest share shown so far, by run: a bar never moves back. @type {Map<string, number>} */
const shares = new Map();

/** Fraction of the whole run that is done. @param {import("../types.js").Run} run */
export function shareOf(run) {
  const share = Math.max(shares.get(run.id) ?? 0, run.overall?.share ?? 0);
  shares.set(run.id, share);
  return share;
}

/** A time left, as roughly as it is known. @param {number} seconds */
const roundTime = (seconds) => (seconds < 20 ? Math.ceil(seconds / 5) * 5 : seconds < 120 ? Math.ceil(seconds / 10) * 10 : Math.ceil(seconds / 60) * 60);

/** The step at which the warm-up ends, if it is on the chart. @param {import("../types.js").Run} run */
const warmUp = (run) => {
  const end = run.warm_up_steps ?? 0;
  return end > 0 && (run.curves.step.at(-1) ?? 0) > end ? { at: end, text: "labels from here" } : undefined;
};

/** @param {import("../types.js").Run} run */
const compared = (run) => comparison.value?.runs.find((r) => r.id === run.id);

/** @param {{runs: import("../types.js").Run[], show: (id: string) => void, drop: (run: import("../types.js").Run) => void}} props */
function Runs({ runs, show, drop }) {
  if (!runs.length) return null;
  return html`<section class="card flush"><header><h2>All runs</h2><span class="muted small" data-test="advice">${advice()}</span></header><div class="scroll-x"><table class="runs">
    <thead><tr><th>Run</th><th>State</th><th class="right">Labels</th><th class="right">Held-out average precision</th><th class="right" title="Recall on labels made by hand that the run was not trained on">Recall on left-out labels</th>
      <th class="right">Per micrograph</th><th class="right" title="Part of the picks that differ from the run before">Changed</th><th class="right">Duration</th><th><span class="sr">Open or delete</span></th></tr></thead>
    <tbody>${runs.map((r) => html`<tr key=${r.id} class=${r.id === store.runId.value ? "chosen" : ""}>
      <td>${r.title}</td><td><span class=${`badge ${STATES[r.state]?.[1] ?? ""}`}>${STATES[r.state]?.[0] ?? r.state}</span></td>
      <td class="right">${count(r.labels)}</td><td class="right">${r.average_precision == null ? "–" : Number(r.average_precision).toFixed(2)}</td><td class="right">${compared(r)?.recall == null ? "–" : html`${percent(compared(r)?.recall)} <span class="muted">of ${count(compared(r)?.left_out)}</span>`}</td>
      <td class="right" title=${`${count(r.n_picks)} picks at any score`}>${compared(r) ? count(Math.round(compared(r)?.per_micrograph ?? 0)) : "–"}</td><td class="right">${compared(r)?.changed == null ? "–" : percent(compared(r)?.changed)}</td>
      <td class="right">${formatDuration(r.seconds)}</td>
      <td class="right"><div class="buttons" style="justify-content:flex-end;flex-wrap:nowrap">${r.has_picks && html`<button onClick=${() => show(r.id)}>Inspect</button>`}
        ${r.state !== "running" && html`<button class="plain danger" aria-label=${`Delete ${r.title}`} onClick=${() => drop(r)}>Delete</button>`}</div></td></tr>`)}</tbody>
  </table></div></section>`;
}

/** @param {{restore: (id: string) => void, purge: (run: {id: string, title: string}) => void}} props */
function DeletedRuns({ restore, purge }) {
  const deleted = store.project.value.deleted_runs ?? [];
  if (!deleted.length) return null;
  return html`<details class="card"><summary>${plural(deleted.length, "deleted run")}</summary><ul class="files">
    ${deleted.map((run) => html`<li key=${run.id} class="buttons"><span class="grow">${run.title}</span>
      <button disabled=${store.readOnly.value} onClick=${() => restore(run.id)}>Restore</button>
      <button class="plain danger" disabled=${store.readOnly.value} onClick=${() => purge(run)}>Delete permanently</button></li>`)}</ul></details>`;
}
