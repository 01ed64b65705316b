// @ts-check
// The main area of Label and Inspect: toolbar, micrograph, and the state of the micrograph.

import { html } from "../../vendor/ui.js";
import { visibleLabels } from "../edits.js";
import { keyFor } from "../keys.js";
import * as store from "../store.js";
import { count, plural, Slide } from "../widgets.js";
import { Fold } from "./folds.js";
import { Back } from "./screen.js";
import { stage, Viewer } from "../viewer/viewer.js";

const ICONS = {
  pos: html`<circle cx="8" cy="8" r="5.2" />`,
  neg: html`<rect x="3" y="3" width="10" height="10" /><path d="M5.5 5.5l5 5m0-5l-5 5" />`,
  erase: html`<path d="M6 13.2h7M2.8 9.6l6.6-6.6 3.8 3.8-6.4 6.4H6z" />`,
  polygon: html`<path d="M3 5l5-3 5.4 4-1.8 7.2H4.6z" />`,
  undo: html`<path d="M6.2 3L2.8 6.4l3.4 3.4M2.8 6.4h6.6a3.4 3.4 0 010 6.8H6" />`,
  redo: html`<path d="M9.8 3l3.4 3.4-3.4 3.4M13.2 6.4H6.6a3.4 3.4 0 000 6.8H10" />`,
  hand: html`<path d="M8 1.8v12.4M1.8 8h12.4M8 1.8L6.2 3.6M8 1.8l1.8 1.8M8 14.2l-1.8-1.8M8 14.2l1.8-1.8M1.8 8l1.8-1.8M1.8 8l1.8 1.8M14.2 8l-1.8-1.8M14.2 8l-1.8 1.8" />`,
};

/** @param {{name: keyof typeof ICONS}} props */
const Icon = ({ name }) => html`<svg width="16" height="16" viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.7" stroke-linejoin="round" aria-hidden="true">${ICONS[name]}</svg>`;

const TOOLS = [
  ["pos", "Particle", "Click on a particle"], ["neg", "Not a particle", "Click on something that must not be picked"],
  ["erase", "Erase", "Brush over labels and picks"], ["polygon", "Exclude", "Outline a region to exclude, such as carbon, ice or the edge of a hole"],
  ["hand", "Pan", "Drag the micrograph"],
];

const Zooms = (/** @type {{act: (a: string) => void}} */ { act }) => html`<div class="segments zooms" role="group" aria-label="Zoom">
  <button aria-label="Zoom out" title=${`Zoom out (${keyFor("zoom.out")})`} onClick=${() => act("zoom.out")}>−</button>
  <button title=${`Whole micrograph (${keyFor("fit")})`} onClick=${() => act("fit")}>Fit</button>
  <button title=${`Actual pixels (${keyFor("one")})`} onClick=${() => act("one")}>1:1</button>
  <button aria-label="Zoom in" title=${`Zoom in (${keyFor("zoom.in")})`} onClick=${() => act("zoom.in")}>+</button></div>`;

/** @param {{act: (action: string) => void}} props */
export function MicrographPanel({ act }) {
  const m = store.micrograph.value;
  const title = `${store.step.value === "label" ? "Label" : "Inspect"} ${m?.name ?? ""}`;
  return html`<h1 class="sr">${title}</h1><div class="bar" role="toolbar" aria-label="Tools">
      <${Fold} panel="side" /><${Back} />
      <div class="segments">${TOOLS.map(([id, name, hint]) => html`<button key=${id} disabled=${store.readOnly.value && id !== "hand"} aria-pressed=${store.tool.value === id}
        title=${`${hint} (${keyFor(`tool.${id}`)})`} onClick=${() => act(`tool.${id}`)}><${Icon} name=${id} /><span class="txt">${name}</span></button>`)}</div>
      <div class="segments">
        <button aria-label="Undo" title=${`Undo (${keyFor("undo")})`} onClick=${() => act("undo")}><${Icon} name="undo" /></button>
        <button aria-label="Redo" title=${`Redo (${keyFor("redo")})`} onClick=${() => act("redo")}><${Icon} name="redo" /></button></div>
      <span class="spacer"></span>
      <button title=${`Show crops of all labels or picks (${keyFor("gallery")})`} onClick=${() => act("gallery")}>Gallery</button>
      <button title=${`Show all micrographs side by side (${keyFor("wall")})`} onClick=${() => act("wall")}>Wall</button>
      <${Fold} panel="tools" />
    </div>
    <div class="frame"><${Viewer} /><${Zooms} act=${act} />
      ${store.tool.value === "erase" && html`<div class="brush-size"><${Slide} name="Brush" unit="Å" log min=${20} max=${3000} value=${store.brushAng.value}
        on=${(/** @type {number} */ v) => (store.brushAng.value = v)} /></div>`}</div>
    ${m && html`<${MicrographState} m=${m} act=${act} />`}`;
}

/** @param {{m: import("../types.js").MicrographRow, act: (a: string) => void}} props */
function MicrographState({ m, act }) {
  const labels = visibleLabels();
  const n = (/** @type {string} */ kind) => labels.filter((l) => l.kind === kind).length;
  const regionCount = store.regions.value.size;
  return html`<div class="bar below">
    <strong class="num" data-test="label-count">${plural(n("pos"), "particle")}</strong>
    ${n("neg") > 0 && html`<span class="num muted">${plural(n("neg"), "negative label")}</span>`}
    ${regionCount > 0 && html`<span class="num muted">${plural(regionCount, "exclusion region")}</span>`}
    <span class="spacer"></span>
    <label class="tick" title=${keyFor("all")}><input type="checkbox" checked=${m.state === "all"} disabled=${store.readOnly.value} onChange=${() => act("all")} />
      All particles are labelled</label>
    <button disabled=${store.readOnly.value} onClick=${() => act("skip")} aria-pressed=${m.state === "skip"}>${m.state === "skip" ? "Include micrograph" : "Exclude micrograph"}</button>
  </div>`;
}

/** Footer with the position of the pointer and the size of the micrograph. @param {{act: (a: string) => void, last: string | null}} props */
export function Footer({ act, last }) {
  const m = store.micrograph.value;
  const at = store.pointer.value ?? store.cursor.value;
  const ang = store.pixelSize.value;
  const showsMicrograph = store.step.value === "label" || store.step.value === "inspect";
  const zoom = store.zoom.value * (window.devicePixelRatio || 1);
  return html`<footer class="foot">
    <span class="position">${at && m && stage.now ? `x ${at[0].toFixed(1)}  y ${at[1].toFixed(1)} px` : m?.width_px ? `${m.width_px} × ${m.height_px} px` : ""}</span>
    ${m?.width_px && html`<span>${ang ? `${Math.round((m.width_px * ang) / 10)} × ${Math.round((m.height_px * ang) / 10)} nm` : ""}${ang && showsMicrograph ? " · " : ""}${showsMicrograph ? `zoom ${Number((zoom * 100).toPrecision(2))} %` : ""}</span>`}
    <span class="cut">${last ? `Undo: ${last}` : ""}</span>
    <span class="grow"></span>
    ${m && html`<button class="plain" aria-label="Previous micrograph" title=${keyFor("previous")} onClick=${() => act("previous")}>◂ ${keyFor("previous")}</button>
      <span class="cut" style="max-width:360px">${m.name}</span>
      <button class="plain" aria-label="Next micrograph" title=${keyFor("next")} onClick=${() => act("next")}>${keyFor("next")} ▸</button>`}
  </footer>`;
}
