/** Makes the HTML of one comment or notice. Text by users enters the document through textContent only. */
import { timeText } from "../core/times.js";

const template = document.createElement("template");
template.innerHTML =
  '<article><header><bdi class="author"></bdi> <time></time></header><p class="message" dir="auto"></p></article>';

/** An `article` with the comment's id as data-id */
export function commentRow(comment) {
  const row = template.content.firstElementChild.cloneNode(true);
  const [header, message] = row.children;
  const [author, time] = header.children;
  row.dataset.id = comment.id;
  row.dataset.initial = [...comment.author.name.trim()][0]?.toUpperCase() ?? "?";
  row.style.setProperty("--hue", hueOf(comment.author.id));
  author.textContent = comment.author.name;
  const date = new Date(comment.createdAt);
  time.dateTime = date.toISOString();
  time.textContent = timeText(comment.createdAt, Date.now());
  message.textContent = comment.message;
  return row;
}

/** A line of the page's own between comments, with a button if there is an `action`: {label, run}. */
export function noticeRow(notice) {
  const row = document.createElement("p");
  row.className = "notice";
  row.textContent = notice.text;
  if (notice.action) {
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = notice.action.label;
    button.addEventListener("click", notice.action.run, { once: true });
    row.append(" ", button);
  }
  return row;
}

/** 0 to 359, the same for an author on every page. The golden angle, 137.5°, puts neighbouring numbers far apart. */
function hueOf(authorId) {
  let sum = 0;
  for (let index = 0; index < authorId.length; index += 1) sum = (sum * 31 + authorId.charCodeAt(index)) | 0;
  return Math.round(Math.abs(sum) * 137.508) % 360;
}
