// @ts-check
// Which key does what. Keys can be changed or switched off; they are ignored while typing.

/** @typedef {{id: string, says: string, group: string, keys: string[], stage?: boolean, review?: boolean}} Action
 * `stage`: only while the micrograph has the keyboard; `review`: only while judging. */

/** @type {Action[]} */
export const ACTIONS = [
  { id: "tool.pos", says: "Mark particles", group: "Tools", keys: ["P"] },
  { id: "tool.neg", says: "Mark what is not a particle", group: "Tools", keys: ["N"] },
  { id: "tool.erase", says: "Erase with a brush", group: "Tools", keys: ["E"] },
  { id: "tool.polygon", says: "Outline a region to leave out", group: "Tools", keys: ["X"] },
  { id: "tool.hand", says: "Move the micrograph", group: "Tools", keys: ["H"] },
  { id: "tool.ruler", says: "Measure the particle diameter", group: "Tools", keys: ["M"] },
  { id: "undo", says: "Undo", group: "Edit", keys: ["Ctrl+Z"] },
  { id: "redo", says: "Redo", group: "Edit", keys: ["Ctrl+Shift+Z", "Ctrl+Y"] },
  { id: "all", says: "All particles here are marked (tick)", group: "Edit", keys: ["F"] },
  { id: "saved", says: "Is everything saved?", group: "Edit", keys: ["Ctrl+S"] },
  { id: "previous", says: "Previous micrograph", group: "Micrographs", keys: ["A", "PageUp"] },
  { id: "next", says: "Next micrograph", group: "Micrographs", keys: ["D", "PageDown"] },
  { id: "todo", says: "Next with work left", group: "Micrographs", keys: ["Shift+D"] },
  { id: "gallery", says: "Gallery of crops", group: "Micrographs", keys: ["G"] },
  { id: "lower", says: "Threshold down, or a smaller brush", group: "Threshold", keys: ["["] },
  { id: "higher", says: "Threshold up, or a larger brush", group: "Threshold", keys: ["]"] },
  { id: "lower.fine", says: "Threshold down a little", group: "Threshold", keys: ["Shift+["] },
  { id: "higher.fine", says: "Threshold up a little", group: "Threshold", keys: ["Shift+]"] },
  { id: "zoom.in", says: "Zoom in", group: "View", keys: ["+", "="] },
  { id: "zoom.out", says: "Zoom out", group: "View", keys: ["-"] },
  { id: "fit", says: "Whole micrograph", group: "View", keys: ["0"] },
  { id: "one", says: "Actual pixels, 1:1", group: "View", keys: ["1"] },
  { id: "invert", says: "Swap black and white", group: "View", keys: ["I"] },
  { id: "overlay", says: "Labels, picks, or both", group: "View", keys: ["L"] },
  { id: "hide", says: "Hide all marks (while held)", group: "View", keys: ["C"] },
  { id: "view.1", says: "Show as recorded", group: "View", keys: ["Alt+1"] },
  { id: "view.2", says: "Show filtered", group: "View", keys: ["Alt+2"] },
  { id: "view.4", says: "Show the score map", group: "View", keys: ["Alt+4"] },
  { id: "left", says: "Cursor left (Shift: 1 px, Ctrl: move the view)", group: "On the micrograph", keys: ["ArrowLeft"], stage: true },
  { id: "right", says: "Cursor right", group: "On the micrograph", keys: ["ArrowRight"], stage: true },
  { id: "up", says: "Cursor up", group: "On the micrograph", keys: ["ArrowUp"], stage: true },
  { id: "down", says: "Cursor down", group: "On the micrograph", keys: ["ArrowDown"], stage: true },
  { id: "act", says: "Use the tool at the cursor", group: "On the micrograph", keys: ["Enter"], stage: true },
  { id: "delete", says: "Delete at the cursor, or what is selected", group: "On the micrograph", keys: ["Delete", "Backspace"], stage: true },
  { id: "label.previous", says: "Previous label", group: "On the micrograph", keys: [","] },
  { id: "label.next", says: "Next label", group: "On the micrograph", keys: ["."] },
  { id: "yes", says: "Yes, a particle", group: "Review", keys: ["Y"], review: true },
  { id: "no", says: "No", group: "Review", keys: ["N"], review: true },
  { id: "unsure", says: "Not sure", group: "Review", keys: ["U"], review: true },
  { id: "back", says: "One back", group: "Review", keys: ["B"], review: true },
  { id: "help", says: "This list", group: "Help", keys: ["?"] },
  { id: "escape", says: "Close, or drop what you began", group: "Help", keys: ["Escape"] },
];

const SHIFTED = /** @type {Record<string, string>} */ ({ "{": "Shift+[", "}": "Shift+]" });

/** A key press in words, such as "Ctrl+Shift+Z". @param {KeyboardEvent} event */
export function combo(event) {
  const altGr = event.getModifierState?.("AltGraph") ?? false;
  const ctrl = (event.ctrlKey || event.metaKey) && !altGr;
  const alt = event.altKey && !altGr;
  let key = event.key;
  if (alt && /^Digit\d$/.test(event.code)) key = event.code.slice(5);
  const letter = /^\p{L}$/u.test(key);
  if (letter) key = key.toUpperCase();
  if (!ctrl && !alt && SHIFTED[key]) return SHIFTED[key];
  const shift = event.shiftKey && (letter || key.length > 1);
  return `${ctrl ? "Ctrl+" : ""}${alt ? "Alt+" : ""}${shift ? "Shift+" : ""}${key}`;
}

const STORE = "cryopick.keys";
/** @type {{off: boolean, changed: Record<string, string[]>}} */
export const custom = read();

function read() {
  try {
    const kept = JSON.parse(localStorage.getItem(STORE) ?? "{}");
    return { off: kept.off === true, changed: Object(kept.changed) };
  } catch {
    return { off: false, changed: {} };
  }
}

export function keepKeys() {
  try {
    localStorage.setItem(STORE, JSON.stringify(custom));
  } catch {
    // a private window may not keep anything: the keys hold until it is closed
  }
}

/** @param {Action} action */
export const keysOf = (action) =>
  Array.isArray(custom.changed[action.id]) ? custom.changed[action.id] : action.keys;

/** The first key of an action, for tooltips. @param {string} id */
export function keyFor(id) {
  const action = ACTIONS.find((a) => a.id === id);
  return action && !custom.off ? keysOf(action)[0] ?? "" : "";
}

const ALWAYS = new Set(["escape", "help", "undo", "redo", "saved"]);

/** The action a key press asks for, if any.
 * @param {KeyboardEvent} event @param {{onStage: boolean, reviewing: boolean}} where @returns {string | null} */
export function actionOf(event, where) {
  const pressed = combo(event);
  const bare = where.onStage ? pressed.replace(/^(Ctrl\+|Shift\+)(?=Arrow)/, "") : pressed;
  for (const action of ACTIONS) {
    if (custom.off && !action.stage && !ALWAYS.has(action.id)) continue;
    if (action.stage && !where.onStage) continue;
    if (action.review && !where.reviewing) continue;
    if (action.id === "tool.neg" && where.reviewing) continue;
    if (keysOf(action).includes(action.stage ? bare : pressed)) return action.id;
  }
  return null;
}

/** @param {EventTarget | null} target */
export function typing(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || /^(TEXTAREA|SELECT)$/.test(target.tagName)) return true;
  return target instanceof HTMLInputElement && !/^(range|checkbox|radio|button)$/.test(target.type);
}
