// @ts-check
// The micrographs of the project: add them, show problems, set pixel size and particle diameter.

import { html, signal, useEffect } from "../../vendor/ui.js";
import { get } from "../api.js";
import { highlight } from "../guide.js";
import * as store from "../store.js";
import { Imports } from "./imports.js";
import { listing, loadRows, rowAt } from "../micrographs.js";
import { PixelSizeField } from "./pixel_size.js";
import { count, Dialog, NumberBox, plural } from "../widgets.js";

const SHOWN = 200;

/** @param {{importMicrographs: (what: object) => void, open: (id: number) => void, changeProject: (change: object) => void, sendProject: (change: object) => Promise<void>}} props */
export function Data({ importMicrographs, open, changeProject, sendProject }) {
  const p = store.project.value;
  const { total } = listing.value;
  return html`<div class="page"><div class="inner">
    <header><h1>Micrographs</h1><p class="lead">The files stay where they are; the project stores their paths. Files that cannot be read are listed with the reason and excluded.</p></header>
    <section class="card"><header><h2>Add micrographs</h2></header>
      <form class="seekline" onSubmit=${(/** @type {SubmitEvent} */ e) => (e.preventDefault(), importMicrographs({ glob: pathOf(e) }))}>
        <label class="grow field"><span class="sr">Folder, files or STAR file</span><input name="path" class="mono" required placeholder="folder, pattern such as data/*.mrc, or a STAR file" /></label>
        <button type="button" onClick=${() => (store.dialog.value = "folder")}>Browse…</button>
        <button class=${highlight("add")}>Add</button></form>
      <div class="buttons"><button onClick=${() => (store.dialog.value = "labels")}>Import particles…</button>
        <span class="muted small">Coordinates from other programs, as labels or to compare.</span></div></section>
    <${Imports} />
    ${total > 0 && html`<${Numbers} p=${p} changeProject=${changeProject} sendProject=${sendProject} /><${Table} total=${total} open=${open} />`}
  </div></div>`;
}

/** The text in the form. @param {SubmitEvent} event */
const pathOf = (event) => String(new FormData(/** @type {HTMLFormElement} */ (event.currentTarget)).get("path")).trim();

/** @param {{p: import("../types.js").ProjectState, changeProject: (change: object) => void, sendProject: (change: object) => Promise<void>}} props */
function Numbers({ p, changeProject, sendProject }) {
  return html`<section class="card"><header><h2>Scale</h2></header><div class="fields">
    <${PixelSizeField} send=${sendProject} />
    <label class="field"><span class="name">Particle diameter, Å</span><${NumberBox} min="10" max="5000" placeholder="e.g. 180" disabled=${store.readOnly.value} value=${p.diameter_ang}
        on=${(/** @type {number | null} */ v) => v !== null && changeProject({ diameter_ang: v })} />
      <span class="hint">The circles have this diameter. Measure it on a particle or estimate it in step 2.</span></label>
  </div></section>`;
}

/** @param {{total: number, open: (id: number) => void}} props */
function Table({ total, open }) {
  const shown = Math.min(total, SHOWN);
  useEffect(() => void loadRows(0, shown), [shown, listing.value.version]);
  const rows = [];
  for (let i = 0; i < shown; i++) rows.push(rowAt(i));
  return html`<section class="card flush"><header><h2>${plural(total, "micrograph")}</h2></header><div class="scroll-x"><table>
    <thead><tr><th>File</th><th class="right">Size, px</th><th class="right">Å per pixel</th><th class="right">Labels</th><th class="right">Picks</th><th>State</th></tr></thead>
    <tbody>${rows.filter((r) => r !== null).map((r) => html`<tr key=${r.id}><td class="cut" style="max-width:360px"><button class="link" title=${r.path} onClick=${() => open(r.id)}>${r.name}</button></td>
      <td class="right">${r.width_px ? `${r.width_px} × ${r.height_px}` : "–"}</td><td class="right">${r.pixel_size_ang ? Number(r.pixel_size_ang.toPrecision(4)) : "–"}</td>
      <td class="right">${count(r.pos)}</td><td class="right">${count(r.picks)}</td>
      <td>${r.problem ? html`<span class="badge bad">problem</span> <span class="small">${r.problem}</span>` : STATES[/** @type {keyof typeof STATES} */ (r.state)] ?? r.state}</td></tr>`)}</tbody>
  </table></div>${total > shown && html`<p class="muted small" style="padding:10px 16px">Only the first ${count(shown)} are shown here; the list on the left contains all.</p>`}</section>`;
}

const STATES = { todo: "not started", doing: "in progress", all: "fully labelled", skip: "excluded" };

const folder = signal(/** @type {import("../types.js").FolderListing | null} */ (null));
/** @param {string} [dir] */
const openFolder = (dir) => get("fs", { dir }).then((f) => (folder.value = f)).catch(store.fail);

/** Folders on the server. @param {{importMicrographs: (what: object) => void}} props */
export function FolderDialog({ importMicrographs }) {
  useEffect(() => void openFolder(), []);
  const f = folder.value;
  const addPath = (/** @type {string} */ path) => {
    store.dialog.value = null;
    importMicrographs({ paths: [path] });
  };
  const footer = f && html`<button class="primary" disabled=${!f.n_micrographs} onClick=${() => addPath(f.dir)}>Add ${plural(f.n_micrographs ?? 0, "micrograph")} from this folder</button>`;
  return html`<${Dialog} name="folder" title="Choose a folder" footer=${footer}>
    ${f && html`<p><code>${f.dir}</code></p><ul class="folders">
      ${f.parent != null && html`<li><button class="link" onClick=${() => openFolder(f.parent ?? "")}>▴ parent folder</button></li>`}
      ${f.folders.map((d) => html`<li key=${d.path}><button class="link" onClick=${() => openFolder(d.path)}>▸ ${d.name}</button></li>`)}
      ${f.files.map((d) => html`<li key=${d.path}>${d.star ? html`<button class="link" onClick=${() => addPath(d.path)}>${d.name}</button>` : html`<span class="muted">${d.name}</span>`}</li>`)}</ul>`}
  </${Dialog}>`;
}
