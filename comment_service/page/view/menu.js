/** The menu of the header: the videos that were opened before, and a field for another one. */
import { isVideoId, recentOf, remembered } from "../core/video.js";
import { t } from "../core/words.js";
import { keep, kept } from "../kept.js";

const KEPT_AS = "videos"; // in localStorage

export class Menu {
  #menu = document.getElementById("menu");
  #form = document.getElementById("choose");
  #field = document.getElementById("video");
  #list = document.getElementById("recent");
  #onChosen;
  #recent = recentOf(kept("localStorage", KEPT_AS));

  /** onChosen(id): called with another video than the one that is shown, or the same */
  constructor(onChosen) {
    this.#onChosen = onChosen;
    this.#form.addEventListener("submit", (event) => this.#submit(event));
    this.#field.addEventListener("input", () => this.#field.setCustomValidity(""));
    this.#list.addEventListener("click", (event) => this.#clicked(event));
    document.addEventListener("pointerdown", (event) => {
      if (!this.#menu.contains(event.target)) this.#menu.open = false;
    });
    this.#menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.#menu.open = false;
      this.#menu.querySelector("summary").focus();
    });
  }

  /** That video is shown. title: null where it isn't known */
  showVideo(id, title) {
    this.#field.value = id;
    if (isVideoId(id)) this.#remember(id, title);
    this.#list.replaceChildren(...this.#recent.map((one) => linkTo(one, one.id === id)));
  }

  #submit(event) {
    event.preventDefault();
    const id = this.#field.value.trim();
    this.#field.setCustomValidity(isVideoId(id) ? "" : t("video_invalid"));
    if (this.#form.reportValidity()) this.#choose(id);
  }

  #clicked(event) {
    const link = event.target.closest("a");
    if (!link || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return; // a new tab
    event.preventDefault();
    this.#choose(link.dataset.id);
  }

  #choose(id) {
    this.#menu.open = false;
    this.#onChosen(id);
  }

  #remember(id, title) {
    this.#recent = remembered(this.#recent, id, title);
    keep("localStorage", KEPT_AS, this.#recent);
  }
}

/** The address of a video's page */
export function addressOf(id) {
  return `?${new URLSearchParams({ video: id })}`;
}

function linkTo({ id, title }, isShown) {
  const link = document.createElement("a");
  link.href = addressOf(id);
  link.dataset.id = id;
  link.textContent = title;
  link.dir = "auto";
  if (isShown) link.setAttribute("aria-current", "page");
  const item = document.createElement("li");
  item.append(link);
  return item;
}
