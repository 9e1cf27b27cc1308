/** What the reader sees of the connection, and of the video where the connection is fine. */
export const State = Object.freeze({
  CONNECTING: "connecting",
  LIVE: "live",
  RECONNECTING: "reconnecting",
  DOWN: "down",
  REFUSED: "refused",
  TOO_MANY_TABS: "too-many-tabs",
  NO_VIDEO: "no-video",
  PLANNED: "planned", // connected, and the video hasn't begun
  ENDED: "ended",
});
