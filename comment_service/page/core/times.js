/** Writes points in time in the reader's language and time zone. */
import { locale } from "./words.js";

const FORMS = {
  today: { hour: "2-digit", minute: "2-digit" },
  another: { dateStyle: "medium", timeStyle: "short" },
};
const formats = new Map(); // making one takes as long as a row

/** Milliseconds since 1970 as a short text: of today only the time */
export function timeText(ms, nowMs) {
  const isToday = new Date(ms).toDateString() === new Date(nowMs).toDateString();
  return format(isToday ? "today" : "another").format(ms);
}

function format(form) {
  const key = `${form} ${locale()}`;
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat(locale(), FORMS[form]));
  return formats.get(key);
}
