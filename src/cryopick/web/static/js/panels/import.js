// @ts-check
// Import of coordinates from other programs, several files at once, with a preview on a micrograph and buttons that convert them.

import { html, signal, useEffect, useRef } from "../../vendor/ui.js";
import { ask } from "../api.js";
import { rememberImport, undo } from "../edits.js";
import * as picks from "../picks.js";
import * as store from "../store.js";
import { images } from "../thumbnails.js";
import { count, Dialog, NumberBox, plural, Segments } from "../widgets.js";

/** @typedef {{purpose: string, swap: boolean, flip_x: boolean, flip_y: boolean, binning: number, corner_box: number}} Plan */
/** @typedef {{files: File[], report: import("../types.js").ImportReport | null, busy: boolean, error: string, plan: Plan}} ImportState */

const PLAN = { purpose: "pos", swap: false, flip_x: false, flip_y: false, binning: 1, corner_box: 0 };
const EMPTY = { files: [], report: null, busy: false, error: "", plan: PLAN };
const state = signal(/** @type {ImportState} */ (EMPTY));
const arrivals = signal(0);
const PURPOSES = /** @type {[string, string][]} */ ([["pos", "As labels"], ["neg", "As negative labels"], ["compare", "To compare"]]);
const HINTS = /** @type {Record<string, string>} */ ({
  pos: "The particles become labels: the next training uses them, and an export contains them.",
  neg: "The positions become negative labels, which the next training uses.",
  compare: "The particles become a run, whose picks you can show, filter, and compare with another run. They are not used for training.",
});

let requests = 0;
/** @param {boolean} dryRun @returns {Promise<boolean>} */
async function send(dryRun) {
  const { files, plan } = state.value;
  const request = ++requests;
  state.value = { ...state.value, busy: true, error: "" };
  const form = new FormData();
  for (const file of files) form.append("file", file, file.name);
  try {
    const report = await (await ask("import/tables", { method: "POST", form, query: { ...plan, dry_run: dryRun } })).json();
    if (request === requests) state.value = { ...state.value, report, busy: false };
    return true;
  } catch (error) {
    if (request === requests) state.value = { ...state.value, report: null, busy: false, error: /** @type {Error} */ (error).message };
    return false;
  }
}

/** @param {Partial<Plan>} change */
function setPlan(change) {
  state.value = { ...state.value, plan: { ...state.value.plan, ...change } };
  if (state.value.files.length) send(true);
}

/** @param {import("../types.js").FieldEvent} e */
function choose(e) {
  const files = [...(e.target.files ?? [])].filter((f) => !f.name.startsWith("."));
  if (!files.length) return;
  state.value = { ...state.value, files };
  send(true);
}

/** @param {{done: () => void}} props */
export function ImportLabels({ done }) {
  const { files, report, busy, error, plan } = state.value;
  const comparing = plan.purpose === "compare";
  const importFiles = async () => {
    if (!(await send(false))) return;
    const { batch, run, matched } = state.value.report ?? {};
    const title = `import ${count(matched)} particles`;
    if (batch) rememberImport(batch, title);
    store.notify(`${plural(matched ?? 0, "particle")} imported.`, "good", { button: batch ? { label: "Undo", run: () => void undo() } : undefined });
    if (run) picks.choose(run);
    state.value = EMPTY;
    store.dialog.value = null;
    done();
  };
  const footer = html`<button class="primary" disabled=${busy || !report?.matched} onClick=${importFiles}>${comparing ? "Compare" : "Import"} ${plural(report?.matched ?? 0, "particle")}</button>`;
  const tick = (/** @type {"swap" | "flip_x" | "flip_y"} */ name, /** @type {string} */ text) => html`<button aria-pressed=${plan[name]} onClick=${() => setPlan({ [name]: !plan[name] })}>${text}</button>`;
  return html`<${Dialog} name="labels" title="Import particles" footer=${footer}>
    <p class="muted">STAR, box, cbox, csv, tsv, cs or Topaz tables, up to 32 MB together. You see a preview before anything is imported.</p>
    <div class="buttons"><label class="field"><span class="name">Files on this computer</span><input type="file" multiple onChange=${choose} /></label>
      <label class="field"><span class="name">or a folder</span><input type="file" webkitdirectory onChange=${choose} aria-label="Folder on this computer" /></label></div>
    <div class="field"><${Segments} name="Purpose" value=${plan.purpose} on=${(/** @type {string} */ purpose) => setPlan({ purpose })} choices=${PURPOSES} /><span class="hint">${HINTS[plan.purpose]}</span></div>
    ${error && html`<p class="note bad" role="alert">${error}</p>`}
    ${report && html`<div class="import-columns"><${Preview} preview=${report.preview} />
      <div class="import-side"><div class="buttons" role="group" aria-label="Conversion">${tick("flip_y", "Flip y")}${tick("flip_x", "Flip x")}${tick("swap", "Swap x and y")}</div>
        <label class="unit">Binning of the table <${NumberBox} aria-label="Binning" min="0.05" max="64" value=${plan.binning} on=${(/** @type {number | null} */ v) => v && v > 0 && setPlan({ binning: v })} /></label>
        <div class="unit"><label class="tick"><input type="checkbox" checked=${plan.corner_box > 0} onChange=${() => setPlan({ corner_box: plan.corner_box ? 0 : store.project.value.box_px / plan.binning })} /> Corners of boxes of</label>
          <${NumberBox} aria-label="Box side in the table, px" min="0" value=${plan.corner_box || ""} on=${(/** @type {number | null} */ v) => setPlan({ corner_box: Math.max(0, v ?? 0) })} /> px</div>
        <dl class="facts-grid"><dt>Files</dt><dd>${count(report.files)} ${report.n_faults > 0 && html`<span class="warn">(${count(report.n_faults)} unreadable)</span>`}</dd><dt>Format</dt><dd>${report.format}</dd>
          <dt>Particles on micrographs of this project</dt><dd data-test="import-count">${count(report.matched)}</dd><dt>Micrographs</dt><dd>${count(report.n_micrographs)}</dd>
          <dt>Micrographs not in this project</dt><dd>${count(report.n_unmatched)}</dd><dt>Outside their micrograph</dt><dd>${count(report.outside)}</dd>
          ${report.duplicates > 0 && html`<dt>Labelled already</dt><dd>${count(report.duplicates)}</dd>`}</dl></div></div>
      ${report.warnings.map((w) => html`<p class="note warn" key=${w}>${w}</p>`)}
      ${report.faults.map((f) => html`<p class="note warn" key=${f.name}>${f.reason}</p>`)}`}
  </${Dialog}>`;
}

/** The converted positions on the micrograph with the most particles. @param {{preview: import("../types.js").ImportReport["preview"]}} props */
function Preview({ preview }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const arrived = () => (arrivals.value = arrivals.peek() + 1);
  useEffect(() => draw(canvas.current, preview, arrived), [preview, arrivals.value]);
  return html`<figure><canvas ref=${canvas} width="640" height="640" role="img" data-test="import-preview" aria-label=${preview ? `${preview.xy.length} positions on ${preview.name}` : "No positions"}></canvas>
    <figcaption class="small muted cut">${preview ? preview.name : "No particle matches a micrograph of this project."}</figcaption></figure>`;
}

/** @param {HTMLCanvasElement | null} canvas @param {import("../types.js").ImportReport["preview"]} preview @param {() => void} arrived */
function draw(canvas, preview, arrived) {
  if (!canvas) return;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  pen.clearRect(0, 0, canvas.width, canvas.height);
  if (!preview) return;
  const scale = canvas.width / Math.max(preview.width_px, preview.height_px);
  const image = images.get(`${preview.mid} ${store.pixelSize.value ? 30 : 0}`, arrived);
  if (image) {
    const pixels = new ImageData(image.width, image.height);
    for (let i = 0; i < image.bytes.length; i++) pixels.data.fill(image.bytes[i], 4 * i, 4 * i + 3), (pixels.data[4 * i + 3] = 255);
    const small = Object.assign(document.createElement("canvas"), { width: image.width, height: image.height });
    /** @type {CanvasRenderingContext2D} */ (small.getContext("2d")).putImageData(pixels, 0, 0);
    pen.drawImage(small, 0, 0, image.width * image.scale * scale, image.height * image.scale * scale);
  }
  pen.beginPath();
  const r = Math.max(3, store.radiusPx.value * scale);
  for (const [x, y] of preview.xy) {
    pen.moveTo((x + 0.5) * scale + r, (y + 0.5) * scale);
    pen.arc((x + 0.5) * scale, (y + 0.5) * scale, r, 0, 2 * Math.PI);
  }
  for (const [width, colour] of /** @type {[number, string][]} */ ([[4, "rgba(0,0,0,.6)"], [1.8, "#4be39a"]])) {
    pen.lineWidth = width;
    pen.strokeStyle = colour;
    pen.stroke();
  }
}
