// @ts-check
// Random unique names. `crypto.randomUUID` is missing on plain http pages that are not loopback.

/** @param {number} [bytes] @returns {string} */
export function newId(bytes = 12) {
  const numbers = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(numbers, (n) => n.toString(16).padStart(2, "0")).join("");
}
