// @ts-check
// News from the server: one stream a page, closed while the page is out of sight.

import { address } from "./api.js";
import * as store from "./store.js";

/** @param {Record<string, (data: any) => void>} hear  by name of event
 * @param {() => void} again  called when the stream is open once more and something may have been missed */
export function listenToServer(hear, again) {
  /** @type {EventSource | null} */
  let source = null;
  let opened = 0;
  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(address("events"));
    source.onopen = () => {
      store.connected.value = true;
      if (opened++) again();
    };
    source.onerror = () => {
      store.connected.value = false;
      // A closed stream does not try again by itself.
      if (source?.readyState === EventSource.CLOSED) {
        source = null;
        setTimeout(open, 1500);
      }
    };
    for (const [name, run] of Object.entries(hear))
      source.addEventListener(name, (event) => run(JSON.parse(/** @type {MessageEvent} */ (event).data)));
  };
  const close = () => {
    source?.close();
    source = null;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  open();
}
