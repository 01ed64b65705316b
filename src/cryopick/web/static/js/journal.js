// @ts-check
// Journal of edits: applied immediately, stored in the browser until the server has saved them, sent in order, retried forever.

import { RequestError } from "./api.js";
import { newId } from "./random.js";

/** @typedef {import("./types.js").NamedOperation} Op */
/** @typedef {import("./types.js").Operation} Operation */
/** @typedef {{title: string, mid: number, forth: Operation[], back: Operation[]}} Step  description, micrograph, and the operations that do and undo it */

export const BATCH = 1000;
const MAX_STEPS = 500;

/** A value in localStorage; private windows, full disks and invalid content are tolerated. */
export class StoredValue {
  /** @param {string} name */
  constructor(name) {
    this.name = name;
  }
  /** @returns {unknown} */
  read() {
    try {
      return JSON.parse(localStorage.getItem(this.name) ?? "null");
    } catch {
      return null;
    }
  }
  /** @param {unknown} value */
  write(value) {
    try {
      localStorage.setItem(this.name, JSON.stringify(value));
    } catch {
      // not stored: the copy in memory is still sent to the server
    }
  }
}

export class Journal {
  /** @param {string} project name of the project in this browser's storage
   * @param {{send: (ops: Op[]) => Promise<unknown>, apply: (op: Op) => void,
   *   state: (waiting: number, failed: boolean) => void, onRejected: (message: string) => void, pause?: number}} callbacks */
  constructor(project, callbacks) {
    this.callbacks = callbacks;
    this.pause = callbacks.pause ?? 1000;
    // One list per tab: two tabs of one browser must not send each other's edits.
    const tab = tabName();
    this.storedOps = new StoredValue(`cryopick.ops.${project}.${tab}`);
    this.storedSteps = new StoredValue(`cryopick.steps.${project}.${tab}`);
    /** @type {Op[]} */
    this.waiting = /** @type {Op[] | null} */ (this.storedOps.read()) ?? [];
    const steps = /** @type {{done?: Step[], undone?: Step[]} | null} */ (this.storedSteps.read());
    /** @type {Step[]} */
    this.done = steps?.done ?? [];
    /** @type {Step[]} */
    this.undone = steps?.undone ?? [];
    /** Names of this page's operations, which must not be applied again when the server echoes them. */
    this.sent = new Set(this.waiting.map((op) => op.cid));
    this.busy = false;
    /** Number of edits made on this page. */
    this.count = 0;
    /** Ends the pause before the next attempt to send. */
    this.wake = () => {};
    /** Number of operations that are sent one by one, because one of them was rejected. */
    this.single = 0;
    if (this.waiting.length) this.flush();
  }

  /** Apply an edit that can be undone. @param {string} title @param {Operation[]} forth @param {Operation[]} back @param {number} mid */
  act(title, forth, back, mid) {
    if (!forth.length) return;
    this.done.push({ title, mid, forth, back });
    if (this.done.length > MAX_STEPS) this.done.shift();
    this.undone = [];
    this.storeSteps();
    this.put(forth);
  }

  /** @returns {Step | null} the step that was undone */
  undo() {
    const step = this.done.pop();
    if (!step) return null;
    this.undone.push(step);
    this.storeSteps();
    this.put(step.back);
    return step;
  }

  /** @returns {Step | null} */
  redo() {
    const step = this.undone.pop();
    if (!step) return null;
    this.done.push(step);
    this.storeSteps();
    this.put(step.forth);
    return step;
  }

  /** Send edits of another page; those that the server has already are ignored there. @param {Op[]} ops */
  adopt(ops) {
    const others = ops.filter((op) => !this.sent.has(op.cid));
    for (const op of others) {
      this.sent.add(op.cid);
      this.waiting.push(op);
      this.callbacks.apply(op);
    }
    if (!others.length) return;
    this.storedOps.write(this.waiting);
    this.callbacks.state(this.waiting.length, false);
    this.flush();
  }

  /** Add a step that the server has carried out already, so that it can be undone. @param {Step} step */
  remember(step) {
    this.done.push(step);
    this.undone = [];
    this.storeSteps();
  }

  storeSteps() {
    this.storedSteps.write({ done: this.done.slice(-MAX_STEPS), undone: this.undone });
  }

  /** @param {Operation[]} bodies */
  put(bodies) {
    this.count += bodies.length;
    for (const body of bodies) {
      const op = { ...body, cid: newId() };
      this.sent.add(op.cid);
      this.waiting.push(op);
      this.callbacks.apply(op);
    }
    this.storedOps.write(this.waiting);
    this.callbacks.state(this.waiting.length, false);
    this.flush();
  }

  async flush() {
    if (this.busy) return;
    this.busy = true;
    let pause = this.pause / 4;
    while (this.waiting.length) {
      const batch = this.waiting.slice(0, this.single > 0 ? 1 : BATCH);
      try {
        await this.callbacks.send(batch);
      } catch (error) {
        const status = error instanceof RequestError ? error.status : 0;
        if ([400, 404, 409, 422].includes(status)) {
          if (batch.length > 1) {
            this.single = batch.length; // only the rejected edit is dropped
            continue;
          }
          this.callbacks.onRejected(/** @type {Error} */ (error).message);
        } else {
          this.callbacks.state(this.waiting.length, true);
          await new Promise((/** @type {(value?: unknown) => void} */ wake) => {
            this.wake = wake;
            setTimeout(wake, pause);
          });
          pause = Math.min(pause * 2, this.pause * 5);
          continue;
        }
      }
      pause = this.pause / 4;
      this.single = Math.max(0, this.single - batch.length);
      this.waiting = this.waiting.slice(batch.length);
      this.storedOps.write(this.waiting);
      this.callbacks.state(this.waiting.length, false);
    }
    this.busy = false;
  }
}

/** Name of this tab, unchanged when it is reloaded. */
export function tabName() {
  try {
    const stored = sessionStorage.getItem("cryopick.tab");
    if (stored) return stored;
    const name = newId(4);
    sessionStorage.setItem("cryopick.tab", name);
    return name;
  } catch {
    return "tab";
  }
}
