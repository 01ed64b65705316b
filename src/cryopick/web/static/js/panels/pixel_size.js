// @ts-check
// Entry of the pixel size, with the reason why a value is refused or probably wrong.

import { html, signal } from "../../vendor/ui.js";
import { RequestError } from "../api.js";
import { highlight } from "../guide.js";
import * as store from "../store.js";
import { NumberBox } from "../widgets.js";

const HINTS = {
  file: "From the files. A value entered here applies to all micrographs.", given: "Entered by you, for all micrographs.",
  list: "From the STAR or .cs file that lists the micrographs.", unknown: "The files do not contain it; ask the person who recorded them.",
  doubtful: "The files state 1 Å, which many programs write if they do not know it.",
};
const asked = signal(/** @type {{ang: number, doubt: string, error: string} | null} */ (null));

/** @param {{send: (change: object) => Promise<void>}} props  `send` rejects if the server refuses the change */
export function PixelSizeField({ send }) {
  const [p, m] = [store.project.value, store.micrograph.value];
  const source = p.pixel_size_source ?? m?.pixel_size_source ?? "unknown";
  const enter = async (/** @type {number | null} */ ang, confirmed = false) => {
    asked.value = null;
    if (ang === null) return;
    if (ang <= 0 || ang > 1000) return void (asked.value = { ang, doubt: "", error: "A pixel size is a positive length below 1000 Å." });
    try {
      await send({ pixel_size_ang: ang, confirmed });
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      const isDoubt = error instanceof RequestError && error.status === 409;
      asked.value = { ang, doubt: isDoubt ? message : "", error: isDoubt ? "" : message };
    }
  };
  const question = asked.value;
  return html`<div class="field"><label class="field"><span class="name">Pixel size, Å</span>
      <${NumberBox} key=${question ? "asked" : "set"} class=${highlight("pixel")} placeholder="unknown" disabled=${store.readOnly.value}
        value=${question?.ang ?? p.pixel_size_ang ?? m?.pixel_size_ang ?? ""} on=${enter} />
      <span class="hint">${HINTS[/** @type {keyof typeof HINTS} */ (source)]}</span></label>
    ${question?.error && html`<p class="note bad" role="alert">${question.error}</p>`}
    ${question?.doubt && html`<div class="note warn" role="alert"><p>Is this right? ${question.doubt}.</p><div class="buttons">
      <button onClick=${() => enter(question.ang, true)}>Use ${question.ang} Å</button><button onClick=${() => (asked.value = null)}>Keep the old value</button></div></div>`}
    ${!question && source === "doubtful" && html`<span class="buttons"><button onClick=${() => enter(1, true)}>1 Å is correct</button></span>`}</div>`;
}
