// @ts-check
// Display of the micrograph: contrast, filters, circles. These settings affect neither training nor picking.

import { html, useEffect, useRef } from "../../vendor/ui.js";
import { keyFor } from "../keys.js";
import { likelySizes, sizeRun } from "../size.js";
import * as store from "../store.js";
import { NumberBox, Segments, Slide } from "../widgets.js";

const CONTRAST = { black: 36, white: 219, invert: false };

/** @param {{setDiameter: (ang: number, final: boolean) => void, changeProject: (change: object) => void, act: (action: string) => void, estimate: () => void}} props */
export function DisplayPanel({ setDiameter, changeProject, act, estimate }) {
  const lens = store.lens.value;
  /** @param {Partial<typeof lens>} change */
  const set = (change) => (store.lens.value = { ...store.lens.value, ...change });
  const hasPixelSize = store.pixelSize.value > 0;
  const view = lens.view === "filtered" && !hasPixelSize ? "raw" : lens.view;
  const scored = Boolean(store.run.value);
  return html`<section aria-label="Display">
    <header><h2 class="cap">Display</h2>
      <button class="plain small" onClick=${() => set(CONTRAST)}>Reset contrast</button></header>
    <${Segments} name="View" wide value=${view} on=${(/** @type {string} */ view) => set({ view })}
      disabled=${hasPixelSize ? [] : ["filtered"]}
      choices=${[["raw", "Raw", "view.1"], ["filtered", "Filtered", "view.2"], ["denoised", "Denoised", "view.3"]]} />
    <${Contrast} set=${set} />
    ${scored && html`<${Slide} name=${`Score map (${keyFor("scores")})`} unit="%" off="hidden" min=${0} max=${100} step=${5} value=${Math.round(100 * store.scoreOpacity.value)}
      on=${(/** @type {number} */ v) => (store.scoreOpacity.value = v / 100)} />`}
    <label class="tick"><input type="checkbox" checked=${lens.invert} onChange=${(/** @type {import("../types.js").FieldEvent} */ e) => set({ invert: e.target.checked })} />
      Invert contrast <span class="grow"></span><kbd>${keyFor("invert")}</kbd></label>
    ${view === "filtered" && html`
      <${Slide} name="Hide detail finer than" unit="Å" off="off" log min=${Math.max(2, Math.round(2 * store.pixelSize.value))} max=${200} value=${lens.lowpass}
        on=${(/** @type {number} */ lowpass, /** @type {boolean} */ final) => set({ lowpass, ...{ moving: !final } })} />
      <${Slide} name="Hide shading wider than" unit="Å" off="off" log min=${100} max=${5000} value=${lens.highpass}
        on=${(/** @type {number} */ highpass, /** @type {boolean} */ final) => set({ highpass, ...{ moving: !final } })} />`}
    <${Slide} name="Particle diameter" unit=${hasPixelSize ? "Å" : "px"} log min=${10} max=${5000} value=${store.diameter.value} on=${setDiameter} />
    <div class="buttons"><button class="small" disabled=${!hasPixelSize} aria-pressed=${store.tool.value === "ruler"} title=${`Measure the diameter on a particle (${keyFor("tool.ruler")})`}
      onClick=${() => act(store.tool.value === "ruler" ? "tool.pos" : "tool.ruler")}>Measure</button>
      <button class="small" disabled=${!hasPixelSize || store.readOnly.value || Boolean(sizeRun())} title="Find the size at which the general model scores highest" onClick=${estimate}>${sizeRun() ? "Estimating…" : "Estimate"}</button></div>
    <${LikelySizes} setDiameter=${setDiameter} />
    <div class="unit box-size"><label class="tick" title=${keyFor("boxes")}><input type="checkbox" checked=${store.showBoxes.value} onChange=${() => act("boxes")} /> Box, px</label>
      <${NumberBox} aria-label="Box size, px" min="0" max="10000" disabled=${store.readOnly.value} value=${store.project.value.box_px} on=${(/** @type {number | null} */ v) => changeProject({ box_px: Math.round(v ?? 0) })} />
      ${store.project.value.box_given ? html`<button class="small plain" title="Use 1.5 particle diameters again" onClick=${() => changeProject({ box_px: 0 })}>Reset</button>` : html`<span class="small muted">1.5 diameters</span>`}</div>
    <${Segments} name="Overlay" wide value=${store.overlay.value} on=${(/** @type {string} */ v) => (store.overlay.value = v)}
      choices=${[["labels", "Labels"], ["picks", "Picks"], ["both", "Both", "overlay"]]} />
  </section>`;
}

/** Sizes that the general model suggests, each with its evidence. @param {{setDiameter: (ang: number, final: boolean) => void}} props */
function LikelySizes({ setDiameter }) {
  const run = sizeRun();
  if (run) return html`<progress value=${run.overall?.share} max="1" aria-label="Estimating the particle size"></progress>`;
  const sizes = likelySizes();
  if (!sizes.length) return null;
  return html`<p class="muted small sizes" data-test="sizes">Estimated: ${sizes.map((s) => html`<button key=${s.size_ang} class="plain small" aria-pressed=${Math.round(s.size_ang) === store.diameter.value} disabled=${store.readOnly.value}
    title=${`Evidence ${s.evidence.toFixed(2)}, relative to the best size`} onClick=${() => setDiameter(Math.round(s.size_ang), true)}>${Math.round(s.size_ang)} Å</button>`)}</p>`;
}

/** Histogram of grey values, with sliders for the black and the white point.
 * @param {{set: (change: Partial<import("../types.js").Lens>) => void}} props */
function Contrast({ set }) {
  const canvas = useRef(/** @type {HTMLCanvasElement | null} */ (null));
  const { black, white } = store.lens.value;
  const counts = store.greys.value;
  useEffect(() => drawCounts(canvas.current, counts, black, white), [counts, black, white, store.theme.value]);
  return html`<div class="contrast">
    <canvas ref=${canvas} width="548" height="96" aria-hidden="true"></canvas>
    <input type="range" class="low" aria-label="Black" min="0" max="255" value=${black}
      onInput=${(/** @type {import("../types.js").FieldEvent} */ e) => set({ black: Math.min(Number(e.target.value), white - 4) })} />
    <input type="range" class="high" aria-label="White" min="0" max="255" value=${white}
      onInput=${(/** @type {import("../types.js").FieldEvent} */ e) => set({ white: Math.max(Number(e.target.value), black + 4) })} />
    <div class="ends small muted"><span>black</span><span>white</span></div>
  </div>`;
}

/** @param {HTMLCanvasElement | null} canvas @param {Uint32Array | null} counts @param {number} black @param {number} white */
function drawCounts(canvas, counts, black, white) {
  if (!canvas) return;
  const pen = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  const { width, height } = canvas;
  const style = getComputedStyle(canvas);
  pen.clearRect(0, 0, width, height);
  if (!counts) return;
  // Clipped pixels accumulate in the first and the last value and would flatten the others.
  let highest = 1;
  for (let i = 1; i < 255; i++) highest = Math.max(highest, counts[i]);
  for (let i = 0; i < 256; i++) {
    const h = Math.min(1, counts[i] / highest) * (height - 4);
    pen.fillStyle = i >= black && i <= white ? style.color : style.borderTopColor;
    pen.fillRect((i * width) / 256, height - h, width / 256 + 0.6, h);
  }
}
