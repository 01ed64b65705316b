// @ts-check
// The next step, above the main area.

import { html, useEffect } from "../../vendor/ui.js";
import { loadComparison, loadPlan, nextStep } from "../guide.js";
import * as store from "../store.js";

/** @param {{follow: (id: string) => void}} props  `follow`: do a step */
export function Guide({ follow }) {
  const states = store.runs.value.map((r) => `${r.id}${r.state}`).join();
  useEffect(() => void loadPlan(), [store.revision.value, store.project.value.n_labels, store.project.value.n_micrographs, states]);
  useEffect(() => void loadComparison(), [store.step.value, states]);
  const next = nextStep();
  const isHere = next.where !== "" && next.where === store.step.value;
  return html`<section class="guide" aria-label="Next step" data-next=${next.id}>
    <p class="grow" data-test="guide">${next.text}</p>
    ${next.more && html`<button onClick=${() => follow(next.more?.[0] ?? "")}>${next.more[1]}</button>`}
    ${next.label && !isHere && html`<button class="primary" onClick=${() => follow(next.id)}>${next.label}</button>`}
  </section>`;
}
