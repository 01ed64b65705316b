// @ts-check
// Imports of particles, each of which can be removed and restored as one step.

import { html, signal, useEffect } from "../../vendor/ui.js";
import { get } from "../api.js";
import * as edits from "../edits.js";
import * as store from "../store.js";
import { count } from "../widgets.js";

/** @typedef {{id: string, name: string, n: number, n_removed: number}} Import */

const imports = signal(/** @type {Import[]} */ ([]));
const load = () => get("imports").then((answer) => (imports.value = answer.imports)).catch(() => {});

export function Imports() {
  useEffect(() => void load(), [store.project.value.n_labels, store.saving.value.waiting]);
  if (!imports.value.length) return null;
  return html`<section class="card flush" aria-label="Imports"><header><h2>Imported particles</h2></header><div class="scroll-x"><table>
    <thead><tr><th>File</th><th class="right">Particles</th><th><span class="sr">Remove or restore</span></th></tr></thead>
    <tbody>${imports.value.map((one) => html`<tr key=${one.id}><td class="cut" style="max-width:360px">${one.name}</td>
      <td class="right">${one.n ? count(one.n) : html`<span class="muted">removed</span>`}</td>
      <td class="right">${one.n ? html`<button class="plain danger" disabled=${store.readOnly.value} onClick=${() => edits.removeImport(one.id, one.name)}>Remove</button>`
        : one.n_removed > 0 && html`<button disabled=${store.readOnly.value} onClick=${() => edits.restoreImport(one.id, one.name)}>Restore ${count(one.n_removed)}</button>`}</td></tr>`)}</tbody>
  </table></div></section>`;
}
