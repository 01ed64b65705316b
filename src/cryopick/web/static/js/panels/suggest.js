// @ts-check
// What to label next: asked of the detector, which has seen all micrographs.

import { html } from "../../vendor/ui.js";
import * as store from "../store.js";

/** @param {{suggest: () => void}} given */
export function Suggest({ suggest }) {
  const run = store.runs.value.find((r) => r.kind === "suggest" && (r.state === "running" || r.state === "queued"));
  const p = run?.progress ?? {};
  return html`<section aria-label="What to label next">
    <header><h2 class="cap">What to label next</h2></header>
    <p class="muted small">Labels on micrographs that differ teach more than many on one. Let the detector look at all of them and say which.</p>
    ${run ? html`<div><progress value=${p.steps ? p.step / p.steps : undefined} max="1" aria-label="Looking at all micrographs"></progress>
        <p class="muted small num">${run.state === "queued" ? "waiting" : p.stage ?? "running"}</p></div>`
      : html`<div class="buttons"><button disabled=${store.readOnly.value || !store.project.value.n_micrographs} onClick=${suggest}>Suggest micrographs</button></div>`}
  </section>`;
}
