// @ts-check
// Keyboard shortcuts, which can be changed or disabled here.

import { html, signal } from "../../vendor/ui.js";
import { ACTIONS, combo, custom, saveKeys, keysOf } from "../keys.js";
import { Dialog } from "../widgets.js";

const editedAction = signal(/** @type {string | null} */ (null));
const changed = signal(0);

/** @param {KeyboardEvent} event */
function recordKey(event) {
  if (!editedAction.value) return;
  event.preventDefault();
  event.stopPropagation();
  if (/^(Shift|Control|Alt|Meta|AltGraph)$/.test(event.key)) return;
  if (event.key !== "Escape") custom.changed[editedAction.value] = [combo(event)];
  saveKeys();
  editedAction.value = null;
  changed.value++;
}

export function Help() {
  changed.value;
  const groups = [...new Set(ACTIONS.map((a) => a.group))];
  const reset = () => {
    custom.changed = {};
    saveKeys();
    changed.value++;
  };
  const footer = html`<button onClick=${reset}>Reset all shortcuts</button>`;
  return html`<${Dialog} name="help" title="Keyboard and mouse" wide footer=${footer}>
    <label class="tick"><input type="checkbox" checked=${!custom.off} onChange=${(/** @type {import("../types.js").FieldEvent} */ e) => {
      custom.off = !e.target.checked;
      saveKeys();
      changed.value++;
    }} /> Enable single-key shortcuts</label>
    <div class="keys" onKeyDownCapture=${recordKey}>
      <section><h3>Mouse</h3><dl>
        <dt>Click</dt><dd>Use the tool; on a label, select it</dd>
        <dt>Drag a label</dt><dd>Move it</dd>
        <dt>Drag the background</dt><dd>Pan the micrograph (also with the middle button or Space)</dd>
        <dt>Wheel</dt><dd>Zoom at the pointer</dd>
        <dt>Right click, Shift + click</dt><dd>Delete a label; on a pick, add a negative label</dd>
        <dt>Shift + drag</dt><dd>Erase with the brush</dd></dl></section>
      ${groups.map((group) => html`<section key=${group}><h3>${group}</h3><ul>
        ${ACTIONS.filter((a) => a.group === group).map((a) => html`<li key=${a.id}><span>${a.description}</span>
          <button class="plain" aria-label=${`Change the shortcut: ${a.description}`} onClick=${() => (editedAction.value = a.id)}>
            ${editedAction.value === a.id ? html`<em>press a key</em>` : keysOf(a).map((k) => html`<kbd key=${k}>${pretty(k)}</kbd>`)}</button></li>`)}
      </ul></section>`)}
    </div></${Dialog}>`;
}

/** @param {string} key */
const pretty = (key) => key.replace("ArrowLeft", "←").replace("ArrowRight", "→").replace("ArrowUp", "↑")
  .replace("ArrowDown", "↓").replace("PageUp", "Page up").replace("PageDown", "Page down").replace("Escape", "Esc");
