/** What the reader sees of the connection. */
export const State = Object.freeze({
  CONNECTING: "connecting",
  LIVE: "live",
  RECONNECTING: "reconnecting",
  DOWN: "down",
  REFUSED: "refused",
  TOO_MANY_TABS: "too-many-tabs",
});
