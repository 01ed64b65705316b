// @ts-check
// Number of picks above a threshold; exact at bin edges, one of which is the stored threshold.

/** @typedef {{edges: number[]|Float64Array, counts: number[]}} Histogram  one more edge than counts, ascending */

/** Number of scores at or above each edge. @param {number[]} counts @returns {number[]} */
export function countsAbove(counts) {
  const totals = new Array(counts.length + 1).fill(0);
  for (let i = counts.length - 1; i >= 0; i--) totals[i] = totals[i + 1] + counts[i];
  return totals;
}

/** The edge nearest to a score. @param {ArrayLike<number>} edges @param {number} score @returns {number} its index */
export function nearestEdge(edges, score) {
  let low = 0;
  let high = edges.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (edges[middle] <= score) low = middle;
    else high = middle;
  }
  return Math.abs(edges[low] - score) <= Math.abs(edges[high] - score) ? low : high;
}

/** Index of the edge that equals a score, or -1. @param {ArrayLike<number>} edges @param {number} score */
export function edgeAt(edges, score) {
  const at = nearestEdge(edges, score);
  return edges[at] === score ? at : -1;
}

/** Merge bins into fewer, wider bars; the total is unchanged. @param {number[]} counts @param {number} bars */
export function mergeBins(counts, bars) {
  const out = new Array(bars).fill(0);
  counts.forEach((n, i) => (out[Math.min(bars - 1, Math.floor((i * bars) / counts.length))] += n));
  return out;
}
