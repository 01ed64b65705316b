// @ts-check
// Keyboard shortcuts. They can be changed or disabled, and are ignored during text entry.

/** @typedef {{id: string, description: string, group: string, keys: string[], stage?: boolean, review?: boolean}} Action
 * `stage`: only if the micrograph has the keyboard focus; `review`: only during a review. */

/** @type {Action[]} */
export const ACTIONS = [
  { id: "tool.pos", description: "Label particles", group: "Tools", keys: ["P"] },
  { id: "tool.neg", description: "Add negative labels", group: "Tools", keys: ["N"] },
  { id: "tool.erase", description: "Erase with a brush", group: "Tools", keys: ["E"] },
  { id: "tool.polygon", description: "Outline an exclusion region", group: "Tools", keys: ["X"] },
  { id: "tool.hand", description: "Pan the micrograph", group: "Tools", keys: ["H"] },
  { id: "tool.ruler", description: "Measure the particle diameter", group: "Tools", keys: ["M"] },
  { id: "undo", description: "Undo", group: "Edit", keys: ["Ctrl+Z"] },
  { id: "redo", description: "Redo", group: "Edit", keys: ["Ctrl+Shift+Z", "Ctrl+Y"] },
  { id: "all", description: "All particles are labelled (toggle)", group: "Edit", keys: ["F"] },
  { id: "saved", description: "Show whether everything is saved", group: "Edit", keys: ["Ctrl+S"] },
  { id: "previous", description: "Previous micrograph", group: "Micrographs", keys: ["A", "PageUp"] },
  { id: "next", description: "Next micrograph", group: "Micrographs", keys: ["D", "PageDown"] },
  { id: "todo", description: "Next unfinished micrograph", group: "Micrographs", keys: ["Shift+D"] },
  { id: "gallery", description: "Gallery of all picks", group: "Micrographs", keys: ["G"] },
  { id: "wall", description: "Wall of all micrographs", group: "Micrographs", keys: ["W"] },
  { id: "lower", description: "Lower threshold, or smaller brush", group: "Threshold", keys: ["["] },
  { id: "higher", description: "Higher threshold, or larger brush", group: "Threshold", keys: ["]"] },
  { id: "lower.fine", description: "Slightly lower threshold", group: "Threshold", keys: ["Shift+["] },
  { id: "higher.fine", description: "Slightly higher threshold", group: "Threshold", keys: ["Shift+]"] },
  { id: "zoom.in", description: "Zoom in", group: "View", keys: ["+", "="] },
  { id: "zoom.out", description: "Zoom out", group: "View", keys: ["-"] },
  { id: "fit", description: "Whole micrograph", group: "View", keys: ["0"] },
  { id: "one", description: "Actual pixels, 1:1", group: "View", keys: ["1"] },
  { id: "invert", description: "Invert contrast", group: "View", keys: ["I"] },
  { id: "overlay", description: "Show labels, picks or both", group: "View", keys: ["L"] },
  { id: "hide", description: "Hide labels and picks while pressed", group: "View", keys: ["C"] },
  { id: "view.1", description: "Show raw", group: "View", keys: ["Alt+1"] },
  { id: "view.2", description: "Show filtered", group: "View", keys: ["Alt+2"] },
  { id: "view.3", description: "Show denoised", group: "View", keys: ["Alt+3"] },
  { id: "scores", description: "Score map: next opacity", group: "View", keys: ["S"] },
  { id: "boxes", description: "Show the boxes of exported particles", group: "View", keys: ["Shift+B"] },
  { id: "panels", description: "Fold both panels", group: "View", keys: ["\\"] },
  { id: "left", description: "Cursor left (Shift: 1 px, Ctrl: pan)", group: "On the micrograph", keys: ["ArrowLeft"], stage: true },
  { id: "right", description: "Cursor right", group: "On the micrograph", keys: ["ArrowRight"], stage: true },
  { id: "up", description: "Cursor up", group: "On the micrograph", keys: ["ArrowUp"], stage: true },
  { id: "down", description: "Cursor down", group: "On the micrograph", keys: ["ArrowDown"], stage: true },
  { id: "act", description: "Use the tool at the cursor", group: "On the micrograph", keys: ["Enter"], stage: true },
  { id: "delete", description: "Delete at the cursor, or the selected label", group: "On the micrograph", keys: ["Delete", "Backspace"], stage: true },
  { id: "label.previous", description: "Previous label", group: "On the micrograph", keys: [","] },
  { id: "label.next", description: "Next label", group: "On the micrograph", keys: ["."] },
  { id: "yes", description: "Particle", group: "Review", keys: ["Y"], review: true },
  { id: "no", description: "Not a particle", group: "Review", keys: ["N"], review: true },
  { id: "unsure", description: "Not sure", group: "Review", keys: ["U"], review: true },
  { id: "back", description: "Back", group: "Review", keys: ["B"], review: true },
  { id: "help", description: "Show shortcuts", group: "Help", keys: ["?"] },
  { id: "escape", description: "Close or cancel", group: "Help", keys: ["Escape"] },
];

const SHIFTED = /** @type {Record<string, string>} */ ({ "{": "Shift+[", "}": "Shift+]" });

/** Name of a key press, such as "Ctrl+Shift+Z". @param {KeyboardEvent} event */
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
    const stored = JSON.parse(localStorage.getItem(STORE) ?? "{}");
    return { off: stored.off === true, changed: Object(stored.changed) };
  } catch {
    return { off: false, changed: {} };
  }
}

export function saveKeys() {
  try {
    localStorage.setItem(STORE, JSON.stringify(custom));
  } catch {
    // storage may be unavailable in a private window: the shortcuts are valid until it is closed
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

/** The action of a key press, if any.
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
export function isTextField(target) {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || /^(TEXTAREA|SELECT)$/.test(target.tagName)) return true;
  return target instanceof HTMLInputElement && !/^(range|checkbox|radio|button)$/.test(target.type);
}
