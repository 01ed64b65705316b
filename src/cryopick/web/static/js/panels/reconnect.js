// @ts-check
// Notice that the server is gone or that its link has changed, with a field for the new link. Edits wait meanwhile.

import { html, signal } from "../../vendor/ui.js";
import { login } from "../reconnect.js";
import * as store from "../store.js";
import { plural } from "../widgets.js";

const problem = signal("");

/** @param {SubmitEvent} event */
async function submit(event) {
  event.preventDefault();
  const form = /** @type {HTMLFormElement} */ (event.currentTarget);
  problem.value = await login(String(new FormData(form).get("link")));
}

export function Reconnect() {
  const { waiting } = store.saving.value;
  const expired = store.expired.value;
  if (!expired && (store.connected.value || !store.saving.value.failed)) return null;
  const edits = waiting ? `${plural(waiting, "edit")} ${waiting === 1 ? "waits" : "wait"} in this browser and will be sent then.` : "";
  return html`<section class="banner" role="alert" aria-label="Connection">
    <h2>${expired ? "The server is back" : "The server does not respond"}</h2>
    <p>${expired ? "Its link has changed. Paste the link that cryopick label printed last." : "Start it again with cryopick label; this page then continues by itself. If it prints another address, paste its link here."} ${edits}</p>
    <form class="seekline" onSubmit=${submit}>
      <label class="grow field"><span class="sr">Link of the server</span><input name="link" class="mono" required placeholder="http://127.0.0.1:39401/#t=…" autocomplete="off" /></label>
      <button class=${expired ? "primary" : ""}>Continue</button></form>
    ${problem.value && html`<p class="note bad">${problem.value}</p>`}
  </section>`;
}
