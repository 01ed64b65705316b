// @ts-check
// Events from the server: one stream per page, closed while the page is hidden.

import { address, ask, NO_RESPONSE } from "./api.js";
import * as store from "./store.js";

/** @param {Record<string, (data: never) => void>} handlers  by name of event
 * @param {(again: boolean) => void} onOpen  called when the stream opens, for the first time or again: earlier events may be missing */
export function listenToServer(handlers, onOpen) {
  /** @type {EventSource | null} */
  let source = null;
  let opened = 0;
  const open = () => {
    if (source || document.hidden) return;
    source = new EventSource(address("events"));
    source.onopen = () => {
      store.connected.value = true;
      store.settle(NO_RESPONSE);
      onOpen(opened++ > 0);
    };
    source.onerror = () => {
      store.connected.value = false;
      // A closed stream does not reconnect by itself.
      if (source?.readyState === EventSource.CLOSED) {
        source = null;
        setTimeout(open, 1500);
        ask("session").catch(() => {}); // tells whether the link has changed
      }
    };
    for (const [name, run] of Object.entries(handlers))
      source.addEventListener(name, (event) => run(/** @type {never} */ (JSON.parse(/** @type {MessageEvent<string>} */ (event).data))));
  };
  const close = () => {
    source?.close();
    source = null;
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  open();
}
