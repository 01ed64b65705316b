// @ts-check
// What the page knows at the moment. Everything that is drawn is drawn from here.

import { computed, signal } from "../vendor/ui.js";

/** @typedef {{id: string, x: number, y: number, kind: string, mid: number}} Label */
/** @typedef {{id: string, kind: string, points: [number, number][], mid: number}} Region */

/** The project as the server told it. @type {import("../vendor/ui.js").Signal<any>} */
export const project = signal(null);
/** Whether nothing can be changed. */
export const readOnly = computed(() => project.value?.read_only === true);
/** data, label, train, inspect, review or export */
export const step = signal("data");
/** The micrograph on the stage. @type {import("../vendor/ui.js").Signal<any>} */
export const micrograph = signal(null);
/** @type {import("../vendor/ui.js").Signal<Map<string, Label>>} labels on that micrograph, as the user sees them now */
export const labels = signal(new Map());
/** @type {import("../vendor/ui.js").Signal<Map<string, Region>>} */
export const regions = signal(new Map());
/** pos, neg, erase, polygon, hand or ruler */
export const tool = signal("pos");
/** labels, picks or both */
export const overlay = signal("both");
export const hidden = signal(false);
/** @type {import("../vendor/ui.js").Signal<string | null>} */
export const selected = signal(null);
/** @type {import("../vendor/ui.js").Signal<[number, number] | null>} the keyboard's place on the micrograph */
export const cursor = signal(null);
/** @type {import("../vendor/ui.js").Signal<[number, number] | null>} the pointer's place on the micrograph */
export const pointer = signal(null);
/** @type {import("../vendor/ui.js").Signal<[number, number][] | null>} */
export const outline = signal(null);
/** @type {import("../vendor/ui.js").Signal<[[number, number], [number, number]] | null>} where a diameter is being drawn, micrograph px */
export const ruler = signal(null);
export const brushAng = signal(150);
/** Of the particles, in ångströms. */
export const diameter = signal(0);
/** How the micrograph is shown. */
export const lens = signal({ view: "filtered", lowpass: 20, highpass: 0, black: 36, white: 219, invert: false });
/** Counts of the 256 grey values on the stage. @type {import("../vendor/ui.js").Signal<Uint32Array | null>} */
export const greys = signal(null);
export const zoom = signal(1);
/** When the micrograph on the stage was asked for: its picture's time counts from there. */
export const asked = { at: 0 };
/** Whether a micrograph is on its way. */
export const loading = signal(false);

/** @type {import("../vendor/ui.js").Signal<any[]>} trainings and pickings, the newest first */
export const runs = signal([]);
/** @type {import("../vendor/ui.js").Signal<string | number | null>} the run whose picks are shown */
export const runId = signal(null);
export const run = computed(() => runs.value.find((r) => r.id === runId.value) ?? null);
/** @type {import("../vendor/ui.js").Signal<import("./viewer/paint.js").PickSet | null>} its picks on this micrograph */
export const picks = signal(null);
/** @type {import("../vendor/ui.js").Signal<any>} its histogram, counts and what is known of recall and precision */
export const scores = signal(null);
/** @type {import("../vendor/ui.js").Signal<number | null>} */
export const threshold = signal(null);

/** waiting: edits not yet on disk; failed: the server does not answer */
export const saving = signal({ waiting: 0, failed: false });
export const connected = signal(true);
/** @type {import("../vendor/ui.js").Signal<{id: number, kind: string, text: string}[]>} */
export const toasts = signal([]);
/** What a screen reader is told. */
export const said = signal("");
/** Which dialog stands open: help, gallery, import, folder or none. @type {import("../vendor/ui.js").Signal<string | null>} */
export const dialog = signal(null);
/** auto, light or dark */
export const theme = signal("auto");

let serial = 0;
/** @param {string} text @param {"bad" | "warn" | "good" | ""} [kind] */
export function tell(text, kind = "") {
  const id = ++serial;
  toasts.value = [...toasts.value.slice(-3), { id, kind, text }];
  if (kind !== "bad") setTimeout(() => dismiss(id), 6000);
}

/** @param {number} id */
export const dismiss = (id) => (toasts.value = toasts.value.filter((t) => t.id !== id));

/** Tell a screen reader. @param {string} text */
export const say = (text) => (said.value = text);

/** Ångströms per pixel of the open micrograph, or 0 when nobody knows. */
export const pixelSize = computed(
  () => Number(micrograph.value?.pixel_size_ang ?? project.value?.pixel_size_ang ?? 0) || 0,
);
export const radiusPx = computed(() => {
  const ang = pixelSize.value;
  return diameter.value > 0 && ang > 0 ? diameter.value / ang / 2 : 30;
});
