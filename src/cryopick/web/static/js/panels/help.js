// @ts-check
// All keys, which can be changed here or switched off.

import { html, signal } from "../../vendor/ui.js";
import { ACTIONS, combo, custom, keepKeys, keysOf } from "../keys.js";
import { Dialog } from "../widgets.js";

const asking = signal(/** @type {string | null} */ (null));
const changed = signal(0);

/** @param {KeyboardEvent} event */
function take(event) {
  if (!asking.value) return;
  event.preventDefault();
  event.stopPropagation();
  if (/^(Shift|Control|Alt|Meta|AltGraph)$/.test(event.key)) return;
  if (event.key !== "Escape") custom.changed[asking.value] = [combo(event)];
  keepKeys();
  asking.value = null;
  changed.value++;
}

export function Help() {
  changed.value;
  const groups = [...new Set(ACTIONS.map((a) => a.group))];
  const reset = () => {
    custom.changed = {};
    keepKeys();
    changed.value++;
  };
  const footer = html`<button onClick=${reset}>Reset all keys</button>`;
  return html`<${Dialog} name="help" title="Keys and mouse" wide footer=${footer}>
    <label class="tick"><input type="checkbox" checked=${!custom.off} onChange=${(/** @type {any} */ e) => {
      custom.off = !e.target.checked;
      keepKeys();
      changed.value++;
    }} /> Single keys work anywhere on the page</label>
    <div class="keys" onKeyDownCapture=${take}>
      <section><h3>Mouse</h3><dl>
        <dt>Click</dt><dd>Use the tool; on a label: select it</dd>
        <dt>Drag a label</dt><dd>Move it</dd>
        <dt>Drag beside</dt><dd>Move the micrograph (also middle button, or with Space)</dd>
        <dt>Wheel</dt><dd>Zoom at the pointer</dd>
        <dt>Right click, Shift + click</dt><dd>Delete a label; on a pick: not a particle</dd>
        <dt>Shift + drag</dt><dd>Erase with the brush</dd></dl></section>
      ${groups.map((group) => html`<section key=${group}><h3>${group}</h3><ul>
        ${ACTIONS.filter((a) => a.group === group).map((a) => html`<li key=${a.id}><span>${a.says}</span>
          <button class="plain" aria-label=${`Change the key of: ${a.says}`} onClick=${() => (asking.value = a.id)}>
            ${asking.value === a.id ? html`<em>press a key</em>` : keysOf(a).map((k) => html`<kbd key=${k}>${pretty(k)}</kbd>`)}</button></li>`)}
      </ul></section>`)}
    </div></${Dialog}>`;
}

/** @param {string} key */
const pretty = (key) => key.replace("ArrowLeft", "←").replace("ArrowRight", "→").replace("ArrowUp", "↑")
  .replace("ArrowDown", "↓").replace("PageUp", "Page up").replace("PageDown", "Page down").replace("Escape", "Esc");
