// @ts-check
// A question before something is deleted.

import { html, signal } from "../../vendor/ui.js";
import * as store from "../store.js";
import { Dialog } from "../widgets.js";

/** @typedef {{title: string, text: string, button: string, run: () => void}} Question */

const question = signal(/** @type {Question | null} */ (null));

/** Ask before an action. @param {Question} asked */
export function confirm(asked) {
  question.value = asked;
  store.dialog.value = "confirm";
}

export function Confirm() {
  const q = question.value;
  if (!q) return null;
  const accept = () => {
    store.dialog.value = null;
    q.run();
  };
  const footer = html`<button onClick=${() => (store.dialog.value = null)}>Cancel</button><button class="primary danger" onClick=${accept}>${q.button}</button>`;
  return html`<${Dialog} name="confirm" title=${q.title} footer=${footer}><p>${q.text}</p></${Dialog}>`;
}
