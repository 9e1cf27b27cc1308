/** Reads comment ids: 16 hex digits, the first 12 are milliseconds since 1970. As strings they sort by time. */

/** The id's milliseconds since 1970 */
export function timeOf(id) {
  return parseInt(id.slice(0, 12), 16);
}

/** The smallest id of that millisecond */
export function firstIdAt(ms) {
  return Math.max(0, ms).toString(16).padStart(12, "0") + "0000";
}

/**
 * A UUID of version 7, without dashes: the time in ms, then 74 random bits. Stores find a key sooner whose time they
 * know. bytes: ten random ones, from crypto.getRandomValues, which unlike crypto.randomUUID there is without TLS, too
 */
export function keyOf(nowMs, bytes) {
  const random = Uint8Array.from(bytes);
  random[0] = 0x70 | (random[0] & 0x0f);
  random[2] = 0x80 | (random[2] & 0x3f);
  const digits = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return nowMs.toString(16).padStart(12, "0") + digits;
}
