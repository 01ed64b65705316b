// @ts-check
// The displayed micrograph, and the tools that edit it.

import { computed, effect, html, useEffect, useRef } from "../../vendor/ui.js";
import * as edits from "../edits.js";
import { forceReload, loadPlane, tileQuery, wantsFine } from "../planes.js";
import { watchScores } from "../score_layer.js";
import { setDiameter } from "../session.js";
import * as store from "../store.js";
import { Grid } from "./grid.js";
import { listen } from "./pointer.js";
import { Stage } from "./stage.js";

/** The current stage. @type {{now: Stage | null}} */
export const stage = { now: null };

let isFocusWanted = false;
/** Give the micrograph the keyboard focus, as soon as it is there. */
export function focusStage() {
  isFocusWanted = !stage.now;
  stage.now?.root.focus({ preventScroll: true });
}

/** @type {{set: import("./paint.js").PickSet, cell: number, grid: Grid} | null} */
let pickGrid = null;
function gridOfPicks() {
  const set = store.picks.value;
  if (!set) return null;
  const cell = Math.max(8, store.radiusPx.value * 2);
  if (pickGrid?.set !== set || pickGrid.cell !== cell)
    pickGrid = { set, cell, grid: new Grid({ length: set.n, x: (i) => set.x[i], y: (i) => set.y[i] }, cell) };
  return pickGrid.grid;
}

const showsPicks = () => store.overlay.value !== "labels" && store.step.value !== "data";
const showsLabels = () => store.overlay.value !== "picks";
/** @param {number} i */
const isSelected = (i) => {
  const set = store.picks.value;
  return set !== null && set.score[i] >= store.cut.value && !corrected.has(i);
};
/** Picks that are not drawn: those on negative labels, in exclusion regions, or under a positive label of the same
 * particle. @type {Set<number>} */
let corrected = new Set();
function findCorrected() {
  corrected = new Set();
  const [grid, set] = [gridOfPicks(), store.picks.value];
  if (!grid || !set) return;
  for (const l of store.labels.value.values()) {
    const near = grid.within(l.x, l.y, store.matchReach.value);
    for (const i of l.kind === "neg" ? near : near.slice(0, 1)) corrected.add(i);
  }
  for (const { points } of store.regions.value.values())
    for (let i = 0; i < set.n; i++) if (edits.within(points, set.x[i], set.y[i])) corrected.add(i);
}

/** @param {number} x @param {number} y @returns {[number, number] | null} the selected pick at a position */
function pickAt(x, y) {
  const grid = showsPicks() && gridOfPicks();
  const set = store.picks.value;
  if (!grid || !set) return null;
  const [i] = grid.within(x, y, reach(), isSelected);
  return i === undefined ? null : [set.x[i], set.y[i]];
}

const reach = () => Math.max(store.radiusPx.value * 0.75, 7 / store.zoom.value);

/** @param {number} x @param {number} y @returns {string | null} */
export function labelAt(x, y) {
  if (!showsLabels()) return null;
  let best = null;
  let nearest = reach();
  for (const l of edits.visibleLabels()) {
    const d = Math.hypot(l.x - x, l.y - y);
    if (d <= nearest) [best, nearest] = [l.id, d];
  }
  return best;
}

/** @param {number} x @param {number} y */
const regionAt = (x, y) => [...store.regions.value.values()].findLast((r) => edits.within(r.points, x, y));

/** Nothing can be labelled, because no micrograph is shown. */
const blocked = () => !store.micrograph.value || store.micrograph.value.problem !== null || store.failure.value !== null;

/** First end of a line that is measured with the keyboard. @type {[number, number] | null} */
let rulerStart = null;
export const forgetRuler = () => (rulerStart = null);

/** Use the current tool at a position. @param {number} x @param {number} y */
export function press(x, y) {
  if (blocked()) return store.announce("there is no image to label");
  const tool = store.tool.value;
  if (tool === "polygon") {
    store.outline.value = [...(store.outline.value ?? []), [x, y]];
  } else if (tool === "erase") {
    removeAt(x, y);
  } else if (tool === "ruler") {
    if (rulerStart) return hands.measure(rulerStart, [x, y], true);
    rulerStart = [x, y];
    store.announce("one end; move to the other edge of the particle");
  } else if (tool === "pos" || tool === "neg") {
    const label = labelAt(x, y);
    if (label) return edits.change(label, tool);
    const pick = pickAt(x, y);
    edits.add(...(pick ?? /** @type {[number, number]} */ ([x, y])), tool, pick ? "correct" : "hand");
  }
}

/** Delete the label at a position, else add a negative label on the pick, else delete the region.
 * @param {number} x @param {number} y */
export function removeAt(x, y) {
  if (blocked()) return;
  const id = labelAt(x, y);
  if (id) return edits.remove([id]);
  const pick = pickAt(x, y);
  if (pick) return edits.remove([], [pick]);
  const region = regionAt(x, y);
  if (region) edits.remove([], [], [region]);
}

export function closeOutline() {
  const points = (store.outline.value ?? []).filter((p, i, all) => !i || Math.hypot(p[0] - all[i - 1][0], p[1] - all[i - 1][1]) > 2);
  store.outline.value = null;
  edits.addRegion(points);
}

const brushPx = () => store.brushAng.value / 2 / (store.pixelSize.value || 1);

/** @type {{ids: Set<string>, picks: Map<number, [number, number]>}} labels and picks under the current stroke of the eraser */
const swept = { ids: new Set(), picks: new Map() };
/** @param {number} x @param {number} y */
function brushTo(x, y) {
  const r = brushPx();
  if (showsLabels()) for (const l of edits.visibleLabels()) if (Math.hypot(l.x - x, l.y - y) <= r) swept.ids.add(l.id);
  const set = store.picks.value;
  const grid = showsPicks() && gridOfPicks();
  if (set && grid) for (const i of grid.within(x, y, r, isSelected)) swept.picks.set(i, [set.x[i], set.y[i]]);
  stage.now?.redraw("marks");
}

function brushEnd() {
  edits.remove([...swept.ids], [...swept.picks.values()]);
  swept.ids.clear();
  swept.picks.clear();
}

/** @type {{id: string, x: number, y: number} | null} the label being dragged */
let dragged = null;

function scene() {
  const set = showsPicks() ? store.picks.value : null;
  const labels = (showsLabels() ? edits.visibleLabels() : [])
    .filter((l) => !swept.ids.has(l.id))
    .map((l) => (dragged?.id === l.id ? { ...l, ...dragged } : l));
  const at = store.pointer.value;
  // Called for every pick in every frame, so constant values are read once.
  const threshold = store.cut.value;
  const shown = (/** @type {number} */ i) => set !== null && set.score[i] >= threshold && !corrected.has(i) && !swept.picks.has(i);
  const erasing = store.tool.value === "erase" && at;
  return {
    labels, regions: store.regions.value.values(), picks: set, shown,
    scoreRange: /** @type {[number, number]} */ (store.scores.value?.colours ?? [-3, 6]),
    radius: store.radiusPx.value, selected: store.selected.value, cursor: store.cursor.value,
    outline: store.outline.value && (at ? [...store.outline.value, at] : store.outline.value),
    ruler: rulerLine(),
    candidate: store.candidate.value?.mid === store.micrograph.value?.id ? store.candidate.value : null,
    brush: erasing ? { x: at[0], y: at[1], radius: brushPx() } : null,
    hidden: store.hidden.value, box: store.showBoxes.value ? store.project.value.box_px : 0, angPerPx: blocked() ? 0 : store.pixelSize.value,
  };
}

/** The measured line, or the one from its first end to the cursor. @returns {[[number, number], [number, number]] | null} */
const rulerLine = () => (rulerStart && store.cursor.value && store.tool.value === "ruler" ? [rulerStart, store.cursor.value] : store.ruler.value);

const MIN_ANG = 20;

const hands = {
  tool: () => store.tool.value,
  blocked,
  labelAt, press, brushTo, brushEnd, closeOutline,
  select: (/** @type {string} */ id) => {
    if (store.tool.value === "pos" || store.tool.value === "neg") {
      const kind = store.labels.value.get(id)?.kind;
      if (kind !== store.tool.value && store.selected.value === id) edits.change(id, store.tool.value);
    }
    store.selected.value = id;
  },
  drag: (/** @type {string} */ id, /** @type {number} */ x, /** @type {number} */ y) => {
    dragged = { id, x, y };
    stage.now?.redraw("marks");
  },
  drop: (/** @type {string} */ id, /** @type {number} */ x, /** @type {number} */ y) => {
    dragged = null;
    const from = store.labels.value.get(id);
    if (from) edits.move(id, x, y, from);
    stage.now?.redraw("marks");
  },
  remove: removeAt,
  measure: (/** @type {[number, number]} */ from, /** @type {[number, number]} */ to, /** @type {boolean} */ final) => {
    store.ruler.value = [from, to];
    forgetRuler();
    const ang = Math.hypot(to[0] - from[0], to[1] - from[1]) * store.pixelSize.value;
    if (ang >= MIN_ANG) setDiameter(Number(ang.toPrecision(3)), final);
  },
  hover: (/** @type {[number, number] | null} */ at) => (store.pointer.value = at),
};

/** The last view of the previous stage. @type {{mid: number | undefined, view: import("./view.js").View} | null} */
let lastView = null;

export function Viewer() {
  const root = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const newStage = new Stage(/** @type {HTMLElement} */ (root.current), { scene, onView: (v) => (store.zoom.value = v.zoom) });
    stage.now = newStage;
    if (isFocusWanted) focusStage();
    forceReload();
    const stop = [listen(newStage, hands), ...watch(newStage), watchScores(newStage)];
    return () => {
      stop.forEach((end) => end());
      if (!newStage.fitted) lastView = { mid: store.micrograph.value?.id, view: newStage.view };
      newStage.close();
      stage.now = null;
    };
  }, []);
  const m = store.micrograph.value;
  const description = m ? `${m.name}: ${store.labels.value.size} labels. Arrow keys move the cursor, Enter adds a label, Delete removes one.` : "No micrograph";
  const tool = store.tool.value;
  return html`<div ref=${root} tabindex="0" role="application" aria-label=${description} data-test="stage"
    class=${`stage ${tool === "hand" ? "hand" : ""} ${tool === "erase" ? "brushing" : ""}`}>
    <${Overlay} m=${m} /></div>`;
}

/** @param {{m: import("../types.js").MicrographRow | null}} props */
function Overlay({ m }) {
  if (!m) return html`<div class="over note" data-chrome>Choose a micrograph on the left.</div>`;
  if (m.problem) return html`<div class="over note bad" data-chrome role="alert">${m.problem}</div>`;
  const failure = store.failure.value;
  if (failure?.id === m.id) return html`<div class="over note bad" data-chrome role="alert">This micrograph cannot be shown: ${failure.text.replace(`${m.path}: `, "")}</div>`;
  if (store.outline.value)
    return html`<div class="over note" data-chrome>Click the corners of the exclusion region. Double-click or press <kbd>Enter</kbd> to finish, <kbd>Esc</kbd> to cancel.</div>`;
  if (store.tool.value === "ruler")
    return html`<div class="over note" data-chrome>Draw a line across a particle, from edge to edge, or press <kbd>Enter</kbd> at both: ${Math.round(store.diameter.value)} Å. <kbd>Esc</kbd> finishes.</div>`;
  if (store.scoresLoading.value) return html`<div class="corner chip" data-chrome>Computing the score map…</div>`;
  if (store.loading.value) return html`<div class="corner chip" data-chrome>${store.lens.value.view === "denoised" ? "Denoising…" : "Reading…"}</div>`;
  return null;
}

const fine = computed(() => wantsFine(store.micrograph.value, store.zoom.value));

/** Redraw the stage when the displayed state changes. @param {Stage} newStage @returns {(() => void)[]} */
function watch(newStage) {
  let opened = /** @type {number | null} */ (null);
  return [
    effect(() => {
      const m = store.micrograph.value;
      if (m && m.id !== opened) {
        opened = m.id;
        forgetRuler();
        store.outline.value = store.cursor.value = store.selected.value = null;
        newStage.open(m.width_px, m.height_px, lastView && lastView.mid === m.id ? lastView.view : null, store.requested.at);
        lastView = null;
      }
      loadPlane(m, store.lens.value, fine.value, (plane) => (plane ? newStage.show(plane) : newStage.blank()));
      const isShown = m && !m.problem && !store.failure.value && !store.lens.value.moving && store.lens.value.view !== "denoised"; // which has no tiles
      if (!isShown) newStage.setTiles(null);
      else newStage.setTiles({ id: m.id, width: m.width_px, height: m.height_px, query: tileQuery(store.lens.value) });
    }),
    effect(() => {
      const { black, white, invert } = store.lens.value;
      newStage.setContrast({ black, white, invert });
    }),
    effect(() => {
      store.labels.value, store.regions.value, store.picks.value, store.radiusPx.value;
      findCorrected();
      newStage.redraw("marks");
    }),
    effect(() => {
      for (const s of [store.threshold, store.selected, store.cursor, store.outline, store.overlay, store.hidden, store.tool, store.ruler, store.brushAng, store.pixelSize, store.scores, store.step, store.showBoxes, store.project, store.candidate, store.onlyMine]) s.value;
      newStage.thresholdStarted ??= store.requested.threshold;
      store.requested.threshold = null;
      newStage.redraw("marks");
    }),
    effect(() => {
      if (store.pointer.value, store.tool.peek() === "erase" || store.outline.peek()) newStage.redraw("marks");
    }),
  ];
}
