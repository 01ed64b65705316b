// @ts-check
// Suggestion of the micrographs to label next.

import { html } from "../../vendor/ui.js";
import * as store from "../store.js";

/** @param {{suggest: () => void}} props */
export function Suggest({ suggest }) {
  const run = store.runs.value.find((r) => r.kind === "suggest" && (r.state === "running" || r.state === "queued"));
  const p = run?.progress ?? {};
  return html`<section aria-label="What to label next">
    <header><h2 class="cap">What to label next</h2></header>
    <p class="muted small">Labels on a few different micrographs improve the model more than many labels on one. The model can score all micrographs and suggest the most informative ones.</p>
    ${run ? html`<div><progress value=${p.total ? (p.done ?? 0) / p.total : undefined} max="1" aria-label="Scoring all micrographs"></progress>
        <p class="muted small num">${run.state === "queued" ? "queued" : p.stage ?? "running"}</p></div>`
      : html`<div class="buttons"><button disabled=${store.readOnly.value || !store.project.value.n_micrographs} onClick=${suggest}>Suggest micrographs</button></div>`}
  </section>`;
}
