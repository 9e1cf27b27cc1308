/** Writes points in time in the reader's language and time zone. */
import { locale } from "./words.js";

const FORMS = {
  today: { hour: "2-digit", minute: "2-digit" },
  another: { dateStyle: "medium", timeStyle: "short" },
};
const formats = new Map(); // making one takes as long as a row

let last = { minute: NaN, today: NaN, text: "" }; // comments that come together have the same time

/** Milliseconds since 1970 as a short text: of today only the time */
export function timeText(ms, nowMs) {
  const minute = Math.floor(ms / 60_000);
  const today = Math.floor(nowMs / 60_000);
  if (last.minute !== minute || last.today !== today) last = { minute, today, text: textOf(ms, nowMs) };
  return last.text;
}

function textOf(ms, nowMs) {
  const isToday = new Date(ms).toDateString() === new Date(nowMs).toDateString();
  return format(isToday ? "today" : "another").format(ms);
}

function format(form) {
  const key = `${form} ${locale()}`;
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(locale(), FORMS[form]));
  return formats.get(key);
}
