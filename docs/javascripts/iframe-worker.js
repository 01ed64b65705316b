/* Runs the search worker in a hidden frame if the site is opened from a folder (file://), where browsers allow no
 * workers. On a server it does nothing. The search only needs `postMessage` and "message" events in both directions. */
(() => {
  if (location.protocol !== "file:") return;

  class FrameWorker extends EventTarget {
    /** @param {string | URL} url Address of the worker's script. */
    constructor(url) {
      super();
      /** @type {unknown[] | null} Messages that arrive before the script is loaded. */
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      document.body.append(this.frame);
      const scope = /** @type {any} */ (this.frame.contentWindow);
      // A worker's `postMessage` has one argument and goes to the page that started it.
      scope.postMessage = (/** @type {unknown} */ data) =>
        setTimeout(() => this.dispatchEvent(new MessageEvent("message", { data })));
      const script = scope.document.createElement("script");
      script.src = String(url);
      script.onload = () => {
        const messages = this.waiting ?? [];
        this.waiting = null;
        for (const data of messages) this.deliver(data);
      };
      scope.document.body.append(script);
    }

    /** @param {unknown} data */
    postMessage(data) {
      if (this.waiting) this.waiting.push(data);
      else this.deliver(data);
    }

    /** @param {unknown} data */
    deliver(data) {
      const scope = /** @type {any} */ (this.frame.contentWindow);
      setTimeout(() => scope.dispatchEvent(new scope.MessageEvent("message", { data })));
    }

    terminate() {
      this.frame.remove();
    }
  }

  window.Worker = /** @type {any} */ (FrameWorker);
})();
