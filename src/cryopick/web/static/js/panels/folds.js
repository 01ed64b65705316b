// @ts-check
// Buttons that fold the panels beside the micrograph, so that a small screen shows more of it.

import { html } from "../../vendor/ui.js";
import { keyFor } from "../keys.js";
import * as store from "../store.js";

/** @param {{panel: "side" | "tools"}} props */
export function Fold({ panel }) {
  const folded = store.folded.value[panel] === true;
  const name = panel === "side" ? "steps and list" : "display and threshold";
  const x = panel === "side" ? 6 : 10;
  return html`<button class="fold" aria-pressed=${!folded} aria-label=${`${folded ? "Show" : "Hide"} ${name}`} title=${`${folded ? "Show" : "Hide"} ${name} (both: ${keyFor("panels")})`}
    onClick=${() => (store.folded.value = { ...store.folded.value, [panel]: !folded })}><svg width="16" height="16" viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.5" aria-hidden="true">
      <rect x="1.8" y="2.8" width="12.4" height="10.4" rx="1.5" /><path d=${`M${x} 3v10`} /></svg></button>`;
}

/** Classes of the layout for the folded panels. */
export const foldClasses = () => `${store.folded.value.side ? "no-side" : ""} ${store.folded.value.tools ? "no-tools" : ""}`;
