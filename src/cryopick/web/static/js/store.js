// @ts-check
// State of the page, from which everything is rendered.

import { computed, signal } from "../vendor/ui.js";

/** @typedef {import("./types.js").Label} Label */
/** @typedef {import("./types.js").Region} Region */
/** @typedef {{label: string, run: () => void}} ToastButton */
/** @typedef {{id: number, kind: string, text: string, cause: string, button?: ToastButton}} Toast  `cause`: what must end for it to close */

/** State before the project is loaded. @type {import("./types.js").ProjectState} */
const NO_PROJECT = {
  id: "", name: "", path: "", n_micrographs: 0, n_labels: 0, seq: 0, pixel_size_ang: null, read_only: false,
  notes: [], diameter_ang: null, box_px: 0, box_given: false, n_unread: 0, values: [], formats: [], match_diameters: 0, runs: [],
};

/** State of the project from the server. */
export const project = signal(NO_PROJECT);
/** The project cannot be changed. */
export const readOnly = computed(() => project.value?.read_only === true);
/** data, label, train, inspect, review or export */
export const step = signal("data");
/** The micrograph on the stage. @type {import("../vendor/ui.js").Signal<import("./types.js").MicrographRow | null>} */
export const micrograph = signal(null);
/** @type {import("../vendor/ui.js").Signal<Map<string, Label>>} labels on that micrograph, including unsaved edits */
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
/** @type {import("../vendor/ui.js").Signal<[number, number] | null>} keyboard cursor on the micrograph */
export const cursor = signal(null);
/** @type {import("../vendor/ui.js").Signal<[number, number] | null>} mouse pointer on the micrograph */
export const pointer = signal(null);
/** @type {import("../vendor/ui.js").Signal<[number, number][] | null>} */
export const outline = signal(null);
/** @type {import("../vendor/ui.js").Signal<[[number, number], [number, number]] | null>} line of the diameter measurement, micrograph px */
export const ruler = signal(null);
export const brushAng = signal(150);
/** Particle diameter in ångströms. */
export const diameter = signal(0);
/** Display settings of the micrograph. */
export const lens = signal(/** @type {import("./types.js").Lens} */ ({ view: "filtered", lowpass: 20, highpass: 0, black: 36, white: 219, invert: false }));
/** Histogram of the 256 grey values of the displayed image. @type {import("../vendor/ui.js").Signal<Uint32Array | null>} */
export const greys = signal(null);
export const zoom = signal(1);
/** Times at which the micrograph and another threshold were requested, to measure how long painting takes. */
export const requested = { at: 0, threshold: /** @type {number | null} */ (null) };
/** The open micrograph cannot be shown. @type {import("../vendor/ui.js").Signal<{id: number, text: string} | null>} */
export const failure = signal(null);
/** Opacity of the score map over the image, 0 to 1. */
export const scoreOpacity = signal(0);
export const scoresLoading = signal(false);
/** Boxes of exported particles are drawn. */
export const showBoxes = signal(false);
/** Folded panels. @type {import("../vendor/ui.js").Signal<{side?: boolean, tools?: boolean}>} */
export const folded = signal({});
/** An image is being loaded. */
export const loading = signal(false);

/** @type {import("../vendor/ui.js").Signal<import("./types.js").Run[]>} training and picking runs, the newest first */
export const runs = signal([]);
/** @type {import("../vendor/ui.js").Signal<string | null>} the run whose picks are shown */
export const runId = signal(null);
export const run = computed(() => runs.value.find((r) => r.id === runId.value) ?? null);
/** @type {import("../vendor/ui.js").Signal<import("./viewer/paint.js").PickSet | null>} its picks on this micrograph */
export const picks = signal(null);
/** @type {import("../vendor/ui.js").Signal<import("./types.js").RunScores | null>} its histogram, counts and metrics */
export const scores = signal(null);
/** @type {import("../vendor/ui.js").Signal<number | null>} */
export const threshold = signal(null);
/** The threshold for the scores of displayed picks, which have single precision. */
export const cut = computed(() => (threshold.value === null ? -Infinity : Math.fround(threshold.value)));
/** Labels of other people are hidden. */
export const onlyMine = signal(false);
/** The candidate to accept or reject. @type {import("../vendor/ui.js").Signal<import("./types.js").Candidate | null>} */
export const candidate = signal(null);
export const candidateCount = signal({ at: 0, total: 0 });
/** Further candidates are shown as soon as the run has picked another micrograph. */
export const awaitsCandidates = signal(false);
/** Incremented when the server has saved edits or a run has changed: numbers may be out of date. */
export const revision = signal(0);

/** waiting: number of unsaved edits; failed: the server does not respond */
export const saving = signal({ waiting: 0, failed: false });
export const connected = signal(true);
/** The server has another link than the one with which this page logged in. */
export const expired = signal(false);
/** @type {import("../vendor/ui.js").Signal<Toast[]>} */
export const toasts = signal([]);
/** Announcement for screen readers. */
export const announcement = signal("");
/** The open dialog: help, gallery, labels, folder or none. @type {import("../vendor/ui.js").Signal<string | null>} */
export const dialog = signal(null);
/** auto, light or dark */
export const theme = signal("auto");

let serial = 0;
/** Show a message; an error stays until it is closed or its cause is gone. A cause has one message at a time.
 * @param {string} text @param {"bad" | "warn" | "good" | ""} [kind] @param {{cause?: string, button?: ToastButton}} [more] */
export function notify(text, kind = "", { cause = text, button } = {}) {
  const id = ++serial;
  toasts.value = [...toasts.value.filter((t) => t.cause !== cause).slice(-3), { id, kind, text, cause, button }];
  if (kind !== "bad") setTimeout(() => dismiss(id), button ? 20_000 : 6000);
}

/** Show the error of a request until it is closed, the server is back, or the user does something else. @param {unknown} error */
export const fail = (error) => notify(/** @type {Error} */ (error).message, "bad", { cause: "request" });

/** Close the message whose cause is gone. @param {string} cause */
export function settle(cause) {
  if (toasts.value.some((t) => t.cause === cause)) toasts.value = toasts.value.filter((t) => t.cause !== cause);
}

/** @param {number} id */
export const dismiss = (id) => (toasts.value = toasts.value.filter((t) => t.id !== id));

/** Announce a text to screen readers. @param {string} text */
export const announce = (text) => (announcement.value = text);

/** Distance within which a pick matches a label on the open micrograph, px. */
export const matchReach = computed(() => 2 * radiusPx.value * (project.value?.match_diameters ?? 0));

/** Ångströms per pixel of the open micrograph, or 0 if unknown. */
export const pixelSize = computed(
  () => Number(micrograph.value?.pixel_size_ang ?? project.value?.pixel_size_ang ?? 0) || 0,
);
export const radiusPx = computed(() => {
  const ang = pixelSize.value;
  return diameter.value > 0 && ang > 0 ? diameter.value / ang / 2 : 30;
});
