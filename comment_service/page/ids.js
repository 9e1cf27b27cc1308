/** Reads comment ids: 16 hex digits, the first 12 are milliseconds since 1970. As strings they sort by time. */

/** The id's milliseconds since 1970 */
export function timeOf(id) {
  return parseInt(id.slice(0, 12), 16);
}

/** The smallest id of that millisecond */
export function firstIdAt(ms) {
  return Math.max(0, ms).toString(16).padStart(12, "0") + "0000";
}

/** 128 random bits, in hex. Unlike crypto.randomUUID this also works on a page without TLS. */
export function randomKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
