// @ts-check
// Edits: shown at once, kept in the browser until the server has them on disk, posted in order, tried for ever.

import { newId } from "./random.js";

/** @typedef {{cid: string, op: string, [key: string]: any}} Op */
/** @typedef {{title: string, mid: any, forth: any[], back: any[]}} Step  what was done, where, and what takes it back */

export const BATCH = 1000;
const MOST_STEPS = 500;

/** A list in localStorage that survives a private window, a full disk and rubbish. */
class Kept {
  /** @param {string} name */
  constructor(name) {
    this.name = name;
  }
  /** @returns {any} */
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
      // not kept: the copy in memory still goes to the server
    }
  }
}

export class Journal {
  /** @param {string} project a name for this project in this browser
   * @param {{send: (ops: Op[]) => Promise<unknown>, apply: (op: any) => void,
   *   state: (waiting: number, failed: boolean) => void, refused: (message: string) => void, pause?: number}} given */
  constructor(project, given) {
    this.given = given;
    this.pause = given.pause ?? 1000;
    // A tab's own list: two tabs of one browser must not post each other's edits twice.
    const tab = tabName();
    this.keptOps = new Kept(`cryopick.ops.${project}.${tab}`);
    this.keptSteps = new Kept(`cryopick.steps.${project}.${tab}`);
    /** @type {Op[]} */
    this.waiting = this.keptOps.read() ?? [];
    const steps = this.keptSteps.read();
    /** @type {Step[]} */
    this.done = steps?.done ?? [];
    /** @type {Step[]} */
    this.undone = steps?.undone ?? [];
    /** Ours, so that their echo is not applied twice. */
    this.own = new Set(this.waiting.map((op) => op.cid));
    this.busy = false;
    /** How many edits were made on this page. */
    this.count = 0;
    if (this.waiting.length) this.flush();
  }

  /** Do something that can be undone. @param {string} title @param {any[]} forth @param {any[]} back @param {any} mid */
  act(title, forth, back, mid) {
    if (!forth.length) return;
    this.done.push({ title, mid, forth, back });
    if (this.done.length > MOST_STEPS) this.done.shift();
    this.undone = [];
    this.keepSteps();
    this.put(forth);
  }

  /** @returns {Step | null} what was undone */
  undo() {
    const step = this.done.pop();
    if (!step) return null;
    this.undone.push(step);
    this.keepSteps();
    this.put(step.back);
    return step;
  }

  /** @returns {Step | null} */
  redo() {
    const step = this.undone.pop();
    if (!step) return null;
    this.done.push(step);
    this.keepSteps();
    this.put(step.forth);
    return step;
  }

  keepSteps() {
    this.keptSteps.write({ done: this.done.slice(-MOST_STEPS), undone: this.undone });
  }

  /** @param {any[]} bodies */
  put(bodies) {
    this.count += bodies.length;
    for (const body of bodies) {
      const op = { ...body, cid: newId() };
      this.own.add(op.cid);
      this.waiting.push(op);
      this.given.apply(op);
    }
    this.keptOps.write(this.waiting);
    this.given.state(this.waiting.length, false);
    this.flush();
  }

  async flush() {
    if (this.busy) return;
    this.busy = true;
    let pause = this.pause / 4;
    while (this.waiting.length) {
      const batch = this.waiting.slice(0, BATCH);
      try {
        await this.given.send(batch);
      } catch (error) {
        const status = /** @type {any} */ (error)?.status ?? 0;
        if (status === 400 || status === 409 || status === 422) {
          this.given.refused(/** @type {Error} */ (error).message);
        } else {
          this.given.state(this.waiting.length, true);
          await new Promise((wake) => setTimeout(wake, pause));
          pause = Math.min(pause * 2, this.pause * 5);
          continue;
        }
      }
      pause = this.pause / 4;
      this.waiting = this.waiting.slice(batch.length);
      this.keptOps.write(this.waiting);
      this.given.state(this.waiting.length, false);
    }
    this.busy = false;
  }
}

/** A name that stays with this tab when it is loaded again. */
function tabName() {
  try {
    const known = sessionStorage.getItem("cryopick.tab");
    if (known) return known;
    const made = newId(4);
    sessionStorage.setItem("cryopick.tab", made);
    return made;
  } catch {
    return "tab";
  }
}
