// @ts-check
// Writing the particles for other programs: first what would be written, then the writing.

import { html, signal, useEffect } from "../../vendor/ui.js";
import * as store from "../store.js";
import { count, plural } from "../widgets.js";

/** @type {{value: {what: string, formats: string[], name: string, replace: boolean}}} */
export const wish = signal({ what: "picks", formats: [".star"], name: "particles", replace: false });
/** @type {{value: any}} */
export const preview = signal(null);
/** @type {{value: any}} */
export const written = signal(null);

/** A file's path from the project on. @param {string} path */
const within = (path) => path.replace(`${store.project.value.path}/`, "");

/** @param {{formats: {id: string, name: string}[], look: () => void, write: () => void, bring: () => void, version: string}} given */
export function Export({ formats, look, write, version }) {
  const w = wish.value;
  const set = (/** @type {object} */ change) => {
    wish.value = { ...wish.value, ...change };
    written.value = null;
  };
  const picked = store.runs.value.some((r) => r.has_picks);
  const what = picked ? w.what : "labels";
  useEffect(look, [version, JSON.stringify(w), store.runId.value, store.threshold.value, picked]);
  const toggle = (/** @type {string} */ id) =>
    set({ formats: w.formats.includes(id) ? w.formats.filter((f) => f !== id) : [...w.formats, id] });
  const p = preview.value;
  return html`<div class="page"><div class="inner">
    <header><h1>Export</h1><p class="lead">What you see is what is written: picks at or above the threshold, with your corrections, without what you left out.</p></header>
    <div class="columns">
      <section class="card" aria-label="What to write">
        <fieldset class="field"><legend class="name">What</legend>
          <label class="tick"><input type="radio" name="what" checked=${what === "picks"} disabled=${!picked} onChange=${() => set({ what: "picks" })} />
            Picks${store.run.value ? html` of ${store.run.value.title}, scores of at least ${Number((store.threshold.value ?? 0).toFixed(2))}, with corrections` : " (none yet)"}</label>
          <label class="tick"><input type="radio" name="what" checked=${what === "labels"} onChange=${() => set({ what: "labels" })} /> Only the particles marked by hand</label></fieldset>
        <fieldset class="field"><legend class="name">Formats</legend><div class="formats">
          ${formats.map((f) => html`<label class="tick" key=${f.id}><input type="checkbox" checked=${w.formats.includes(f.id)} onChange=${() => toggle(f.id)} />
            ${f.name} <code class="muted">${f.id}</code></label>`)}</div></fieldset>
        <label class="field"><span class="name">File name</span><input value=${w.name} pattern=${"[^\\/\\\\]+"} required onChange=${(/** @type {any} */ e) => set({ name: e.target.value.trim() || "particles" })} />
          <span class="hint">Written to the project, <code>${store.project.value.path}</code>.</span></label>
        <label class="tick"><input type="checkbox" checked=${w.replace} onChange=${(/** @type {any} */ e) => set({ replace: e.target.checked })} /> Replace files of the same name</label>
        <div class="buttons"><button class="primary" disabled=${!w.formats.length || !p?.n || p.problem} onClick=${write}>Write ${p?.n ? plural(p.n, "particle") : ""}</button></div>
      </section>
      <section class="card" aria-label="Preview" aria-live="polite">
        <header><h2>${written.value ? "Written" : "Will be written"}</h2></header>
        ${p?.problem && html`<p class="note bad">${p.problem}</p>`}
        ${p && html`<div class="kept"><strong class="num" data-test="export-count">${count(p.n)}</strong><span>particles<br /><span class="muted small">on ${plural(p.n_micrographs, "micrograph")}</span></span></div>
          ${p.parts?.length > 0 && html`<dl class="facts-grid small">${p.parts.map((/** @type {any} */ part) => html`<dt>${part[0]}</dt><dd>${count(part[1])}</dd>`)}</dl>`}
          <ul class="files">${(p.files ?? []).map((/** @type {any} */ f) => html`<li key=${f.path}><code title=${f.path}>${within(f.path)}</code>${f.exists && !written.value && html` <span class=${`badge ${w.replace ? "warn" : "bad"}`}>${w.replace ? "will be replaced" : "is there already"}</span>`}</li>`)}</ul>`}
        ${written.value && html`<p class="note good" role="status" data-test="written">Written: ${plural(written.value.files.length, "file")}.</p>
          ${written.value.command && html`<div class="field"><span class="name">The same on the command line</span><pre class="mono command">${written.value.command}</pre></div>`}`}
      </section>
    </div>
  </div></div>`;
}
