// @ts-check
// Answers to the marked candidate.

import { html } from "../../vendor/ui.js";
import * as candidates from "../candidates.js";
import { highlight } from "../guide.js";
import { keyFor } from "../keys.js";
import * as store from "../store.js";
import { formatScore } from "../widgets.js";

export function Candidates() {
  const item = store.candidate.value;
  if (!item) return null;
  const { at, total } = store.candidateCount.value;
  return html`<section aria-label="Candidate">
    <header><h2 class="cap">Candidate ${at} of ${total}</h2><button class="plain small" onClick=${candidates.end}>Close</button></header>
    <p class="muted small num">Score ${formatScore(item.score)}. Answer with a key; <kbd>${keyFor("undo")}</kbd> undoes the last answer.</p>
    <div class="answers-grid">
      <button class=${highlight("accept")} onClick=${() => candidates.answer("yes")}><kbd>${keyFor("yes")}</kbd>Particle</button>
      <button onClick=${() => candidates.answer("no")}><kbd>${keyFor("no")}</kbd>Not a particle</button>
      <button onClick=${() => candidates.answer("unsure")}><kbd>${keyFor("unsure")}</kbd>Not sure</button>
      <button onClick=${candidates.skip}><kbd>${keyFor("back")}</kbd>Skip</button></div>
  </section>`;
}
