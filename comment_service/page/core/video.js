/**
 * What is known of a video as a thing: its title, whether it is planned, live or over, where it can be watched.
 * Touches no document, no network and no clock.
 */
import { RECENT_VIDEOS_MAX } from "../limits.js";
import { State } from "./states.js";

const VIDEO_ID = /^[A-Za-z0-9_-][A-Za-z0-9_.:~-]{0,127}$/;

/** The states of a video, as the service names them */
export const Life = Object.freeze({ PLANNED: "planned", LIVE: "live", ENDED: "ended" });

/** Whether the service takes it as a video's id. Others would be read as another path. */
export function isVideoId(text) {
  return typeof text === "string" && VIDEO_ID.test(text);
}

/** The record, with only the fields that the page uses; null if it isn't one. */
export function videoOf(given) {
  if (typeof given !== "object" || given === null) return null;
  const { id, title, state } = given;
  if (!isVideoId(id) || typeof title !== "string" || !Object.values(Life).includes(state)) return null;
  return {
    id,
    title,
    state,
    plannedAt: timeOrNull(given.plannedAt),
    startedAt: timeOrNull(given.startedAt),
    playbackUrl: isPlayable(given.playbackUrl) ? given.playbackUrl : null,
  };
}

/**
 * What the reader is told first: the connection's state, unless that is fine and the video isn't live. An ended video
 * needs no stream, so it isn't said of it that one is awaited. connection: a State. record: null if there is none.
 */
export function shownState(connection, record) {
  if (record?.state === Life.ENDED && WAITING_OR_FINE.has(connection)) return State.ENDED;
  if (record?.state === Life.PLANNED && connection === State.LIVE) return State.PLANNED;
  return connection;
}

const WAITING_OR_FINE = new Set([State.CONNECTING, State.LIVE, State.RECONNECTING]);

/** Whole seconds until the video begins; null if nobody has said when, or that time is over. */
export function secondsToStart(record, nowMs) {
  if (record?.state !== Life.PLANNED || record.plannedAt === null) return null;
  const seconds = Math.ceil((record.plannedAt - nowMs) / 1000);
  return seconds > 0 ? seconds : null;
}

/** A duration as a clock shows it: 59 -> "0:59", 3661 -> "1:01:01" */
export function clockText(seconds) {
  const parts = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60, seconds % 60];
  if (parts[0] === 0) parts.shift();
  return parts.map((part, index) => (index === 0 ? `${part}` : `${part}`.padStart(2, "0"))).join(":");
}

/** Whether only a player of HLS can play it: a list of pieces in place of a file. */
export function isHls(url) {
  return new URL(url).pathname.toLowerCase().endsWith(".m3u8");
}

/** The videos that were kept, as [{id, title}]; without what isn't one, as other pages of this host write there, too. */
export function recentOf(kept) {
  const videos = Array.isArray(kept) ? kept.filter((one) => isVideoId(one?.id) && typeof one.title === "string") : [];
  return videos.map(({ id, title }) => ({ id, title }));
}

/** With a video that is opened now, as the first one. title: null where it isn't known; an earlier one stays then. */
export function remembered(recent, id, title) {
  const before = recent.find((one) => one.id === id);
  const others = recent.filter((one) => one.id !== id);
  return [{ id, title: title ?? before?.title ?? id }, ...others].slice(0, RECENT_VIDEOS_MAX);
}

function timeOrNull(given) {
  return Number.isFinite(given) && Math.abs(given) <= 8.64e15 ? given : null;
}

function isPlayable(url) {
  try {
    return ["http:", "https:"].includes(new URL(url).protocol);
  } catch {
    return false;
  }
}
