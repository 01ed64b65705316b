// @ts-check
// The straight path from micrographs to an export: the next step, which is the one highlighted button.

import { signal } from "../vendor/ui.js";
import { get } from "./api.js";
import { sizeRun } from "./size.js";
import * as store from "./store.js";
import { count, formatDuration, percent, plural } from "./widgets.js";

const ENOUGH_LABELS = 25;
const ENOUGH_MICROGRAPHS = 3;

/** Summary of the labels, and settings of the next training. */
export const plan = signal(/** @type {import("./types.js").TrainingPlan | null} */ (null));
/** Comparison of the runs. */
export const comparison = signal(/** @type {import("./types.js").Comparison | null} */ (null));
/** The user labels without the general model. */
export const clicksOnly = signal(false);
/** Runs whose picks were inspected. */
export const inspected = signal(/** @type {Set<string>} */ (new Set()));
/** Something was exported in this session. */
export const exported = signal(false);

let requests = 0;
/** Load the numbers of the labels, which change with every edit. */
export async function loadPlan() {
  const request = ++requests;
  const newPlan = await get("plan").catch(() => null);
  if (newPlan && request === requests) plan.value = newPlan;
}

let comparisons = 0;
/** Compare the runs; this takes longer, and hardly depends on single edits. */
export async function loadComparison() {
  const request = ++comparisons;
  const newComparison = await get("comparison").catch(() => null);
  if (newComparison && request === comparisons) comparison.value = newComparison;
}

/** @typedef {{id: string, where: string, text: string, label?: string, more?: [string, string]}} Next
 * `id`: of the highlighted button; `where`: the step with that button; `label`: text of the button if it is in the guiding strip;
 * `more`: id and text of another way */

/** Whether labels help: how much the last ones changed. */
export function advice() {
  const a = comparison.value?.advice;
  if (!a) return "";
  const changed = `The last ${plural(a.labels, "label")} changed ${percent(a.changed)} of the picks`;
  return a.enough ? `${changed}; more labels will hardly help.` : `${changed}; more labels still help.`;
}

/** @returns {Next} */
export function nextStep() {
  return nextOfData() ?? nextOfRun() ?? nextOfLabels();
}

/** @returns {Next | null} */
function nextOfData() {
  const p = store.project.value;
  if (p.read_only) return { id: "view", where: "", text: "This project is open for viewing only." };
  if (!p.n_micrographs) return { id: "add", where: "data", text: "Choose the micrographs: a folder, a pattern or a STAR file.", label: "Choose micrographs" };
  const m = store.micrograph.value;
  const source = (m?.problem ? null : m?.pixel_size_source) ?? p.pixel_size_source;
  if (source === "unknown" || source === "doubtful")
    return { id: "pixel", where: "data", text: "Enter or confirm the pixel size; filters, circles and models depend on it.", label: "Enter the pixel size" };
  if (p.diameter_ang) return null;
  const estimating = sizeRun();
  if (estimating) return { id: "wait", where: "", text: `Estimating the particle size: ${estimating.overall ? timeLeft(estimating.overall.seconds_left) : "starting"}.` };
  return store.tool.value === "ruler"
    ? { id: "size", where: "label", text: "Draw a line across a particle, from edge to edge.", label: "Show the micrograph" }
    : { id: "size", where: "", text: "How large is a particle? Draw a line across one, or let the general model estimate it.", label: "Measure a particle", more: ["estimate", "Estimate the size"] };
}

/** @param {number} seconds */
const timeLeft = (seconds) => `about ${formatDuration(Math.ceil(seconds / 10) * 10)} left`;

/** @returns {Next | null} */
function nextOfRun() {
  const running = store.runs.value.find((r) => r.kind !== "size" && (r.state === "running" || r.state === "queued"));
  if (!running) return null;
  const left = running.overall ? timeLeft(running.overall.seconds_left) : "starting";
  if (running.kind === "train") return { id: "wait", where: "", text: `${running.title}: ${left}. You can continue labelling meanwhile.` };
  if (running.kind === "pick" && !running.has_picks) return { id: "wait", where: "", text: "The general model is picking. Its first picks appear in a few seconds." };
  return null;
}

/** @returns {Next} */
function nextOfLabels() {
  const labels = store.project.value.n_labels;
  const trained = store.runs.value.find((r) => r.kind === "train" && r.has_picks);
  const picked = store.runs.value.find((r) => r.has_picks);
  if (trained && !inspected.value.has(trained.id)) return { id: "inspect", where: "", text: `${trained.title} is finished.`, label: "Inspect this run" };
  if (trained && labels <= (trained.labels ?? 0) + 9) {
    if (exported.value) return { id: "done", where: "", text: `Exported. Continue with the file in your processing program. ${advice()}` };
    return { id: "export", where: "export", text: `Good enough? ${advice() || "Review a random sample to measure the precision."}`, label: "Export particles", more: ["review:random", "Review 40 random picks"] };
  }
  if (!picked && !labels && !clicksOnly.value)
    return { id: "general", where: "", text: "The general model needs no labels.", label: "See what the general model finds", more: ["clicks", "Click on particles"] };
  return nextOfTraining(labels, Boolean(picked), Boolean(trained));
}

/** @param {number} labels @param {boolean} picked @param {boolean} trained @returns {Next} */
function nextOfTraining(labels, picked, trained) {
  const micrographs = plan.value?.micrographs ?? 0;
  const all = store.project.value.n_micrographs;
  const wanted = Math.min(ENOUGH_MICROGRAPHS, all);
  const progress = `${labels < ENOUGH_LABELS ? `${count(labels)} of ${ENOUGH_LABELS} particles` : plural(labels, "particle")}, on ${count(micrographs)} of ${plural(all, "micrograph")}.`;
  if (labels >= ENOUGH_LABELS && micrographs >= wanted) return { id: "train", where: "train", text: `${progress} ${trained ? advice() || "Train again with the new labels." : "That is enough for a first model."}`, label: "Train a model" };
  const hint = labels >= ENOUGH_LABELS ? `Label some particles on ${wanted} micrographs.` : "More labels make the model better.";
  if (store.candidate.value) return { id: "accept", where: "label", text: `${progress} Is the marked candidate a particle?`, label: "Show the candidate" };
  if (store.awaitsCandidates.value) return { id: "wait", where: "", text: `${progress} The next candidates follow when another micrograph is picked.` };
  if (picked) return { id: "candidates", where: "", text: `${progress} ${hint}`, label: "Accept or reject candidates", more: labels >= 10 ? ["train", "Train now"] : undefined };
  return { id: "click", where: "label", text: `${progress} Click on particles. ${hint}`, label: "Label particles", more: labels >= 10 ? ["train", "Train now"] : ["general", "See what the general model finds"] };
}

/** Class of a button: highlighted if it is the next step. @param {string} id */
export const highlight = (id) => (nextStep().id === id ? "primary" : "");
