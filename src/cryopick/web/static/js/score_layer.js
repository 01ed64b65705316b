// @ts-check
// The score map of the open micrograph, blended over its image; computed ahead while picks are inspected.

import { effect } from "../vendor/ui.js";
import { fetchPlane } from "./planes.js";
import * as store from "./store.js";

const STEPS = [0, 0.4, 0.7, 1];
const IDLE_MS = 400; // a person looks at the micrograph
const MAX_MAPS = 12;

/** @type {Map<string, Promise<import("./viewer/stage.js").Plane>>} */
const maps = new Map();

/** @param {number} id @param {string} run */
function load(id, run) {
  const key = `${run} ${id}`;
  const loading = maps.get(key) ?? fetchPlane(id, { n: 512, variant: "scores", run });
  maps.delete(key);
  maps.set(key, loading);
  loading.catch(() => maps.delete(key));
  if (maps.size > MAX_MAPS) maps.delete([...maps.keys()][0]);
  return loading;
}

export const clearScores = () => maps.clear();

/** Next opacity of the score map. */
export function cycleOpacity() {
  if (!store.run.value) return store.announce("there are no picks yet");
  const next = STEPS.find((v) => v > store.scoreOpacity.value + 0.01) ?? 0;
  store.scoreOpacity.value = next;
  store.announce(next ? `score map ${Math.round(100 * next)} %` : "score map hidden");
}

/** Show the map of the micrograph on a stage. @param {import("./viewer/stage.js").Stage} stage @returns {() => void} stops */
export function watchScores(stage) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  let shown = "";
  const stop = effect(() => {
    const [m, run, opacity] = [store.micrograph.value, store.runId.value, store.scoreOpacity.value];
    clearTimeout(timer);
    const key = m && run !== null && !m.problem ? `${run} ${m.id}` : "";
    if (key !== shown) {
      shown = key;
      stage.showScores(null);
    }
    stage.setScoreOpacity(opacity);
    if (!m || run === null || !key) return;
    const show = () => {
      const since = performance.now();
      if (opacity) store.scoresLoading.value = true;
      load(m.id, run).then(
        (plane) => {
          if (shown !== key) return;
          stage.showScores(plane);
          if (opacity) performance.measure("scores-shown", { start: since });
        },
        (error) => opacity && shown === key && store.notify(error.message, "bad"),
      ).finally(() => (store.scoresLoading.value = false));
    };
    const isTraining = store.runs.peek().some((r) => r.state === "running");
    if (opacity) show();
    else if (store.step.value === "inspect" && !isTraining) timer = setTimeout(show, IDLE_MS);
  });
  return () => {
    clearTimeout(timer);
    stop();
  };
}
