// @ts-check
// Export of particles for other programs, with a preview.

import { html, signal, useEffect } from "../../vendor/ui.js";
import { highlight } from "../guide.js";
import { address } from "../api.js";
import * as store from "../store.js";
import { count, NumberBox, plural, StillRunning } from "../widgets.js";

/** @type {{value: {what: string, formats: string[], name: string, replace: boolean, box_px: number}}} */
export const request = signal({ what: "picks", formats: [".star"], name: "particles", replace: false, box_px: 0 });
export const preview = signal(/** @type {import("../types.js").ExportSummary | null} */ (null));
export const written = signal(/** @type {import("../types.js").ExportSummary | null} */ (null));

/** A path relative to the project. @param {string} path */
const relativePath = (path) => path.replace(`${store.project.value.path}/`, "");

/** @param {string} path */
const downloadAddress = (path) => address("exports/download", { name: path.split("/").at(-1) });

/** @param {{formats: {id: string, name: string}[], updatePreview: () => void, write: () => void, version: string}} props */
export function Export({ formats, updatePreview, write, version }) {
  const wanted = request.value;
  const set = (/** @type {object} */ change) => {
    request.value = { ...request.value, ...change };
    written.value = null;
  };
  const picked = store.runs.value.some((r) => r.has_picks);
  const what = picked ? wanted.what : "labels";
  useEffect(updatePreview, [version, JSON.stringify(wanted), store.runId.value, store.threshold.value, picked]);
  const toggle = (/** @type {string} */ id) =>
    set({ formats: wanted.formats.includes(id) ? wanted.formats.filter((f) => f !== id) : [...wanted.formats, id] });
  const p = preview.value;
  const existing = wanted.replace || written.value ? [] : (p?.files ?? []).filter((f) => f.exists);
  return html`<div class="page"><div class="inner">
    <header><h1>Export</h1><p class="lead">Exports the picks at or above the threshold with your corrections, without those in exclusion regions.</p></header>
    <div class="columns">
      <section class="card" aria-label="Export settings">
        <fieldset class="field"><legend class="name">Content</legend>
          <label class="tick"><input type="radio" name="what" checked=${what === "picks"} disabled=${!picked} onChange=${() => set({ what: "picks" })} />
            Picks${store.run.value ? html` of ${store.run.value.title}, score at least ${Number((store.threshold.value ?? 0).toFixed(4))}, with corrections` : " (none yet)"}</label>
          <label class="tick"><input type="radio" name="what" checked=${what === "labels"} onChange=${() => set({ what: "labels" })} /> Only the particles labelled by hand</label></fieldset>
        <fieldset class="field"><legend class="name">Formats <button type="button" class="link small" onClick=${() => set({ formats: wanted.formats.length === formats.length ? [".star"] : formats.map((f) => f.id) })}>${wanted.formats.length === formats.length ? "only STAR" : "all"}</button></legend><div class="formats">
          ${formats.map((f) => html`<label class="tick" key=${f.id}><input type="checkbox" checked=${wanted.formats.includes(f.id)} onChange=${() => toggle(f.id)} />
            ${f.name} <code class="muted">${f.id}</code></label>`)}</div></fieldset>
        <label class="field"><span class="name">File name</span><input value=${wanted.name} pattern=${"[^\\/\\\\]+"} required onInput=${(/** @type {import("../types.js").FieldEvent} */ e) => set({ name: e.target.value })} />
          <span class="hint">Written to the folder exports of the project, <code>${store.project.value.path}</code>.</span></label>
        <label class="field"><span class="name">Box size, px</span><${NumberBox} min="0" max="10000" value=${wanted.box_px || store.project.value.box_px} on=${(/** @type {number | null} */ v) => set({ box_px: Math.max(0, Math.round(v ?? 0)) })} />
          <span class="hint">Side of the boxes in .box, .cbox and EMAN files.</span></label>
        <label class="tick"><input type="checkbox" checked=${wanted.replace} onChange=${(/** @type {import("../types.js").FieldEvent} */ e) => set({ replace: e.target.checked })} /> Replace existing files</label>
      </section>
      <section class="card" aria-label="Preview" aria-live="polite">
        <header><h2>${written.value ? "Exported" : "Preview"}</h2></header>
        ${what === "picks" && html`<${StillRunning} />`}
        ${p?.problem && html`<p class="note bad">${p.problem}</p>`}
        ${existing.length > 0 && html`<p class="note warn" data-test="exists">${existing.length === 1 ? "A file of this name exists" : "Files of this name exist"} already. Choose another file name, or tick <em>Replace existing files</em>.</p>`}
        ${p && html`<div class="kept"><strong class="num" data-test="export-count">${count(p.n)}</strong><span>particles<br /><span class="muted small">on ${plural(p.n_micrographs, "micrograph")}</span></span></div>
          ${(p.parts ?? []).length > 0 && html`<dl class="facts-grid small">${(p.parts ?? []).map((part) => html`<dt>${part[0]}</dt><dd>${count(part[1])}</dd>`)}</dl>`}
          ${!written.value && html`<div class="buttons"><button class=${highlight("export")} disabled=${!wanted.formats.length || !p.n || p.problem || existing.length > 0} onClick=${write}>Export ${p.n ? plural(p.n, "particle") : ""}</button></div>`}
          <ul class="files">${(p.files ?? []).map((f) => html`<li key=${f.path}><code title=${f.path}>${relativePath(f.path)}</code>${written.value && html` <a data-test="download" href=${downloadAddress(f.path)} download>Download</a>`}${f.exists && !written.value && html` <span class=${`badge ${wanted.replace ? "warn" : "bad"}`}>${wanted.replace ? "will be replaced" : "exists"}</span>`}</li>`)}</ul>`}
        ${written.value && html`<p class="note good" role="status" data-test="written">Exported ${plural(written.value.files?.length ?? 0, "file")}.</p>
          ${written.value.command && html`<div class="field"><span class="name">Equivalent commands</span><pre class="mono command">${written.value.command}</pre></div>`}`}
      </section>
    </div>
  </div></div>`;
}
