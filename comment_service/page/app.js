/** Starts the viewer's page: connects the video in the URL, the name in localStorage, the conversation and the form. */
import { Conversation } from "./conversation.js";
import { pickLanguage, setWords, t } from "./core/words.js";
import { languages, loadWords } from "./net/words.js";
import { Composer } from "./view/composer.js";
import { Header } from "./view/header.js";
import { translateDocument } from "./view/words.js";

const VIDEO_ID = /^[A-Za-z0-9_-][A-Za-z0-9_.:~-]{0,127}$/;
const DEFAULT_VIDEO = "demo";

const choose = document.getElementById("choose");
const menu = document.getElementById("menu");
const videoBox = document.getElementById("video");
const nameBox = document.getElementById("name");

let header = null;
let video = "";
let conversation = null;

/** Shows the conversation of the video in the URL, in place of the one before. */
function openVideo() {
  video = new URLSearchParams(location.search).get("video") ?? "";
  videoBox.value = video;
  conversation?.stop();
  header.showVideo(video);
  conversation = new Conversation(video, {
    onState: (state) => header.show(state),
    onViewers: (count) => header.showViewers(count),
  });
}

function urlOf(chosen) {
  return `?${new URLSearchParams({ video: chosen })}`;
}

function openChosen(event) {
  event.preventDefault();
  const chosen = videoBox.value.trim();
  videoBox.setCustomValidity(VIDEO_ID.test(chosen) ? "" : t("video_invalid"));
  if (!choose.reportValidity()) return;
  menu.open = false;
  if (chosen === video) return;
  history.pushState(null, "", urlOf(chosen));
  openVideo();
  document.getElementById("message").focus();
}

/** Private windows of some browsers have no localStorage. Then the name is kept only while the page is open. */
function keepName() {
  try {
    nameBox.value = localStorage.getItem("name") ?? "";
    nameBox.addEventListener("input", () => localStorage.setItem("name", nameBox.value.trim()));
  } catch {
    nameBox.value = "";
  }
}

/** iOS shows its keyboard over the page without resizing the layout. */
function fitKeyboard() {
  document.documentElement.style.setProperty("--seen", `${window.visualViewport.height}px`);
}

async function start() {
  window.visualViewport.addEventListener("resize", fitKeyboard);
  fitKeyboard();
  const { language, locale } = pickLanguage(navigator.languages, languages());
  setWords(locale, await loadWords(language));
  translateDocument();
  header = new Header();
  choose.addEventListener("submit", openChosen);
  videoBox.addEventListener("input", () => videoBox.setCustomValidity(""));
  window.addEventListener("popstate", openVideo);
  keepName();
  if (!new URLSearchParams(location.search).get("video")) history.replaceState(null, "", urlOf(DEFAULT_VIDEO));
  new Composer({
    video: () => video,
    onPosted: (comment) => comment.liveVideoId === video && conversation.posted(comment),
  });
  openVideo();
}

start();
