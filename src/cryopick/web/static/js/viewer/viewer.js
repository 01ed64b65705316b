// @ts-check
// The micrograph on the stage, and what tools do to it.

import { computed, effect, html, useEffect, useRef } from "../../vendor/ui.js";
import * as edits from "../edits.js";
import { again, loadPlane, wantsFine } from "../planes.js";
import { setDiameter } from "../session.js";
import * as store from "../store.js";
import { Grid } from "./grid.js";
import { listen } from "./pointer.js";
import { Stage } from "./stage.js";

/** The stage that is on the page, for the keyboard. @type {{now: Stage | null}} */
export const stage = { now: null };

/** @type {{set: any, cell: number, grid: Grid} | null} */
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
const kept = (i) => {
  const set = store.picks.value;
  return set !== null && set.score[i] >= (store.threshold.value ?? -Infinity) && !corrected.has(i);
};
/** Picks that are not drawn: those that are no particles, for a mark or an outline says so, and those that a label of
 * the same particle stands upon. @type {Set<number>} */
let corrected = new Set();
function findCorrected() {
  corrected = new Set();
  const [grid, set] = [gridOfPicks(), store.picks.value];
  if (!grid || !set) return;
  const reach = 2 * store.radiusPx.value * (store.project.value?.match_diameters ?? 0);
  for (const l of store.labels.value.values()) {
    const near = grid.within(l.x, l.y, reach);
    for (const i of l.kind === "neg" ? near : near.slice(0, 1)) corrected.add(i);
  }
  for (const { points } of store.regions.value.values())
    for (let i = 0; i < set.n; i++) if (edits.within(points, set.x[i], set.y[i])) corrected.add(i);
}

/** @param {number} x @param {number} y @returns {[number, number] | null} the kept pick there */
function pickAt(x, y) {
  const grid = showsPicks() && gridOfPicks();
  const set = store.picks.value;
  if (!grid || !set) return null;
  const [i] = grid.within(x, y, reach(), kept);
  return i === undefined ? null : [set.x[i], set.y[i]];
}

const reach = () => Math.max(store.radiusPx.value * 0.75, 7 / store.zoom.value);

/** @param {number} x @param {number} y @returns {string | null} */
export function labelAt(x, y) {
  if (!showsLabels()) return null;
  let best = null;
  let least = reach();
  for (const l of store.labels.value.values()) {
    const d = Math.hypot(l.x - x, l.y - y);
    if (d <= least) [best, least] = [l.id, d];
  }
  return best;
}

/** @param {number} x @param {number} y */
const regionAt = (x, y) => [...store.regions.value.values()].findLast((r) => edits.within(r.points, x, y));

/** Use the tool of the moment on a place. @param {number} x @param {number} y */
export function press(x, y) {
  const tool = store.tool.value;
  if (tool === "polygon") {
    store.outline.value = [...(store.outline.value ?? []), [x, y]];
  } else if (tool === "erase") {
    removeAt(x, y);
  } else if (tool === "pos" || tool === "neg") {
    const there = labelAt(x, y);
    if (there) return edits.change(there, tool);
    const pick = pickAt(x, y);
    edits.add(...(pick ?? /** @type {[number, number]} */ ([x, y])), tool, pick ? "correct" : "hand");
  }
}

/** Delete what is at a place: a label, else mark the pick there as no particle, else a region.
 * @param {number} x @param {number} y */
export function removeAt(x, y) {
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
  edits.outline(points);
}

export const brushPx = () => store.brushAng.value / 2 / (store.pixelSize.value || 1);

/** @type {{ids: Set<string>, picks: Map<number, [number, number]>}} what the eraser swept over in this stroke */
const swept = { ids: new Set(), picks: new Map() };
/** @param {number} x @param {number} y */
function brushTo(x, y) {
  const r = brushPx();
  if (showsLabels()) for (const l of store.labels.value.values()) if (Math.hypot(l.x - x, l.y - y) <= r) swept.ids.add(l.id);
  const set = store.picks.value;
  const grid = showsPicks() && gridOfPicks();
  if (set && grid) for (const i of grid.within(x, y, r, kept)) swept.picks.set(i, [set.x[i], set.y[i]]);
  stage.now?.redraw("marks");
}

function brushEnd() {
  edits.remove([...swept.ids], [...swept.picks.values()]);
  swept.ids.clear();
  swept.picks.clear();
}

/** @type {{id: string, x: number, y: number} | null} a label on its way */
let dragged = null;

function scene() {
  const set = showsPicks() ? store.picks.value : null;
  const labels = [...(showsLabels() ? store.labels.value.values() : [])]
    .filter((l) => !swept.ids.has(l.id))
    .map((l) => (dragged?.id === l.id ? { ...l, ...dragged } : l));
  const at = store.pointer.value;
  // Asked of every pick in every frame: what does not change is read once.
  const threshold = store.threshold.value ?? -Infinity;
  const shown = (/** @type {number} */ i) => set !== null && set.score[i] >= threshold && !corrected.has(i) && !swept.picks.has(i);
  const erasing = store.tool.value === "erase" && at;
  return {
    labels, regions: store.regions.value.values(), picks: set, shown,
    scoreRange: /** @type {[number, number]} */ (store.scores.value?.colours ?? [-3, 6]),
    radius: store.radiusPx.value, selected: store.selected.value, cursor: store.cursor.value,
    outline: store.outline.value && (at ? [...store.outline.value, at] : store.outline.value),
    ruler: store.ruler.value,
    brush: erasing ? { x: at[0], y: at[1], radius: brushPx() } : null,
    hidden: store.hidden.value, angPerPx: store.pixelSize.value,
  };
}

const LEAST_ANG = 20;

const hands = {
  tool: () => store.tool.value,
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
    const ang = Math.hypot(to[0] - from[0], to[1] - from[1]) * store.pixelSize.value;
    if (ang >= LEAST_ANG) setDiameter(Number(ang.toPrecision(3)), final);
  },
  hover: (/** @type {[number, number] | null} */ at) => (store.pointer.value = at),
};

/** The view when the stage was last left. @type {{mid: any, view: import("./view.js").View} | null} */
let left = null;

export function Viewer() {
  const root = useRef(/** @type {HTMLElement | null} */ (null));
  useEffect(() => {
    const made = new Stage(/** @type {HTMLElement} */ (root.current), { scene, onView: (v) => (store.zoom.value = v.zoom) });
    stage.now = made;
    again();
    const stop = [listen(made, hands), ...watch(made)];
    return () => {
      stop.forEach((end) => end());
      if (!made.fitted) left = { mid: store.micrograph.value?.id, view: made.view };
      made.close();
      stage.now = null;
    };
  }, []);
  const m = store.micrograph.value;
  const says = m ? `${m.name}: ${store.labels.value.size} labels. Arrow keys move the cursor, Enter marks, Delete removes.` : "No micrograph";
  const tool = store.tool.value;
  return html`<div ref=${root} tabindex="0" role="application" aria-label=${says} data-test="stage"
    class=${`stage ${tool === "hand" ? "hand" : ""} ${tool === "erase" ? "brushing" : ""}`}>
    <${Over} m=${m} /></div>`;
}

/** @param {{m: any}} given */
function Over({ m }) {
  if (!m) return html`<div class="over note" data-chrome>Choose a micrograph at the left.</div>`;
  if (m.problem) return html`<div class="over note bad" data-chrome role="alert">${m.problem}</div>`;
  if (store.outline.value)
    return html`<div class="over note" data-chrome>Click round what to leave out. A double click or <kbd>Enter</kbd> closes it, <kbd>Esc</kbd> drops it.</div>`;
  if (store.tool.value === "ruler")
    return html`<div class="over note" data-chrome>Draw across a particle, from edge to edge: ${Math.round(store.diameter.value)} Å. <kbd>Esc</kbd> ends it.</div>`;
  if (store.loading.value) return html`<div class="corner chip" data-chrome>Reading…</div>`;
  return null;
}

const fine = computed(() => wantsFine(store.micrograph.value, store.zoom.value));

/** Draw again when what is shown has changed. @param {Stage} made @returns {(() => void)[]} */
function watch(made) {
  let opened = /** @type {any} */ (null);
  return [
    effect(() => {
      const m = store.micrograph.value;
      if (m && m.id !== opened) {
        opened = m.id;
        store.outline.value = store.cursor.value = store.selected.value = null;
        made.open(m.width_px, m.height_px, left && left.mid === m.id ? left.view : null, store.asked.at);
        left = null;
      }
      loadPlane(m, store.lens.value, store.runId.value, fine.value, (plane, scores) => made.show(plane, scores));
    }),
    effect(() => {
      const { black, white, invert } = store.lens.value;
      made.setContrast({ black, white, invert });
    }),
    effect(() => {
      store.labels.value, store.regions.value, store.picks.value, store.radiusPx.value;
      findCorrected();
      made.redraw("marks");
    }),
    effect(() => {
      for (const s of [store.threshold, store.selected, store.cursor, store.outline, store.overlay, store.hidden, store.tool, store.ruler, store.brushAng, store.pixelSize, store.scores, store.step]) s.value;
      made.redraw("marks");
    }),
    effect(() => {
      if (store.pointer.value, store.tool.peek() === "erase" || store.outline.peek()) made.redraw("marks");
    }),
  ];
}
