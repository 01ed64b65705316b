// @ts-check
// Import of coordinates from other programs, with a preview.

import { html, signal } from "../../vendor/ui.js";
import { ask } from "../api.js";
import { rememberImport, undo } from "../edits.js";
import * as store from "../store.js";
import { count, Dialog } from "../widgets.js";

/** @typedef {{file: File | null, report: import("../types.js").ImportReport | null, busy: boolean, error: string}} ImportState */

const state = signal(/** @type {ImportState} */ ({ file: null, report: null, busy: false, error: "" }));

/** @param {File} file @param {boolean} dryRun @param {string} kind */
async function send(file, dryRun, kind) {
  state.value = { ...state.value, file, busy: true, error: "" };
  const form = new FormData();
  form.append("file", file);
  try {
    const answer = await ask("import/labels", { method: "POST", form, query: { dry_run: dryRun, kind } });
    state.value = { ...state.value, report: await answer.json(), busy: false };
    return true;
  } catch (error) {
    state.value = { ...state.value, report: null, busy: false, error: /** @type {Error} */ (error).message };
    return false;
  }
}

/** @param {{done: () => void}} props */
export function ImportLabels({ done }) {
  const { file, report, busy, error } = state.value;
  const importFile = async () => {
    if (!file || !(await send(file, false, "pos"))) return;
    const title = `import ${count(state.value.report?.matched)} particles`;
    const batch = state.value.report?.batch;
    if (batch) rememberImport(batch, title);
    store.notify(`${count(state.value.report?.matched)} particles imported.`, "good", { button: batch ? { label: "Undo", run: () => void undo() } : undefined });
    state.value = { file: null, report: null, busy: false, error: "" };
    store.dialog.value = null;
    done();
  };
  const choose = (/** @type {import("../types.js").FieldEvent} */ e) => {
    const chosen = e.target.files?.[0];
    if (chosen) send(chosen, true, "pos");
  };
  const footer = html`<button class="primary" disabled=${busy || !report?.matched} onClick=${importFile}>Import ${count(report?.matched ?? 0)} particles</button>`;
  return html`<${Dialog} name="labels" title="Import particles" footer=${footer}>
    <p class="muted">STAR, box, cbox, csv, tsv, cs or Topaz tables, up to 32 MB. You see a preview before anything is imported.</p>
    <label class="field"><span class="name">File on this computer</span><input type="file" onChange=${choose} /></label>
    ${error && html`<p class="note bad" role="alert">${error}</p>`}
    ${report && html`<dl class="facts-grid"><dt>Format</dt><dd>${report.format}</dd><dt>On micrographs of this project</dt><dd>${count(report.matched)}</dd>
      <dt>Micrographs that are not in this project</dt><dd>${count(report.n_unmatched)}</dd><dt>Outside their micrograph</dt><dd>${count(report.outside)}</dd>
      ${report.duplicates > 0 && html`<dt>Labelled already</dt><dd>${count(report.duplicates)}</dd>`}</dl>
      ${(report.warnings ?? []).map((/** @type {string} */ w) => html`<p class="note warn" key=${w}>${w}</p>`)}`}
  </${Dialog}>`;
}
