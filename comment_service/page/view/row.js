/**
 * One row of the talk: a comment, or a notice of the page's own. Text by users enters the document through textContent
 * only. Rows of comments are used again for others: while comments come fast, that is cheaper than to make new ones.
 */
import { placeOf, hueOf } from "../core/rows.js";
import { beginningOf, calm, cleanName, isBig, partsOf } from "../core/text.js";
import { timeText } from "../core/times.js";
import { t } from "../core/words.js";

const template = document.createElement("template");
template.innerHTML =
  '<article dir="auto"><bdi class="author"></bdi> <span class="message"></span><time></time></article>';

const unfolded = new WeakSet(); // comments of which all is shown

export class CommentRow {
  element = template.content.firstElementChild.cloneNode(true);
  comment = null;
  #author = this.element.children[0];
  #message = this.element.children[1];
  #time = this.element.children[2];
  #more = null; // the button, if the message is long
  #state = "";

  /** isMine: the reader wrote it. reader: the reader's name, which others mention */
  show(comment, isMine, reader) {
    this.comment = comment;
    const name = cleanName(comment.author.name);
    this.element.dataset.id = comment.id;
    this.element.style.setProperty("--hue", hueOf(comment.author.id));
    setText(this.#author, name);
    this.#time.dateTime = new Date(comment.createdAt).toISOString();
    setText(this.#time, timeText(comment.createdAt, Date.now()));
    const message = calm(comment.message);
    const beginning = unfolded.has(comment) ? null : beginningOf(message);
    const parts = partsOf(beginning ?? message);
    const calls = ({ mention }) => mention !== undefined && reader !== "" && isName(mention, reader);
    showParts(this.#message, parts, calls);
    this.#showMore(beginning !== null);
    this.#state = `${isMine ? "mine " : ""}${isBig(comment.message) ? "big " : ""}${parts.some(calls) ? "called " : ""}`;
    this.element.className = this.#state;
  }

  /** before: the entry above */
  stand(before) {
    const { continued, dated } = placeOf(this.comment, before);
    const state = `${this.#state}${continued ? "continued " : ""}${dated ? "dated" : ""}`;
    if (this.element.className !== state) this.element.className = state;
  }

  #focusMessage() {
    this.#message.tabIndex = -1;
    this.#message.focus({ preventScroll: true });
  }

  #showMore(isLong) {
    if (!isLong) {
      this.#more?.remove();
      this.#more = null;
      return;
    }
    if (this.#more !== null) return;
    this.#more = document.createElement("button");
    this.#more.type = "button";
    this.#more.className = "more";
    this.#more.textContent = t("more");
    this.#more.addEventListener("click", ({ detail }) => {
      unfolded.add(this.comment);
      showParts(this.#message, partsOf(calm(this.comment.message)), () => false);
      if (detail === 0) this.#focusMessage(); // by the keyboard, whose place the button was
      this.#showMore(false);
    });
    this.#message.after(this.#more);
  }
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

function showParts(element, parts, calls) {
  if (parts.length === 1 && parts[0].href === undefined && parts[0].mention === undefined) {
    setText(element, parts[0].text);
  } else {
    element.replaceChildren(...parts.map((part) => partNode(part, calls)));
  }
}

function partNode(part, calls) {
  if (part.mention !== undefined) {
    const mention = document.createElement("b");
    mention.className = calls(part) ? "mention me" : "mention";
    mention.textContent = part.text;
    return mention;
  }
  if (part.href === undefined) return document.createTextNode(part.text);
  const link = document.createElement("a");
  link.href = part.href;
  link.rel = "nofollow ugc noopener noreferrer";
  link.target = "_blank";
  link.textContent = part.text;
  return link;
}

/** Keeps the text node that is there. */
function setText(element, text) {
  const first = element.firstChild;
  if (first !== null && first.nodeType === Node.TEXT_NODE && first.nextSibling === null) first.data = text;
  else element.textContent = text;
}

function isName(mention, name) {
  const plain = (text) => text.replace(/\s+/g, "").toLowerCase();
  return plain(mention) === plain(name);
}
