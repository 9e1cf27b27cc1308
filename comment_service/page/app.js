/** Starts the viewer's page: connects the video in the URL, the conversation, the header and the composer. */
import { Conversation } from "./conversation.js";
import { State } from "./core/states.js";
import { pickLanguage, setWords, t } from "./core/words.js";
import { kept } from "./kept.js";
import { languages, loadWords } from "./net/words.js";
import { Composer } from "./view/composer.js";
import { Header } from "./view/header.js";
import { applyTheme, setUpHelp } from "./view/help.js";
import { listenForKeys } from "./view/keys.js";
import { translateDocument } from "./view/words.js";

const VIDEO_ID = /^(?!\.+$)[A-Za-z0-9_-][A-Za-z0-9_.:~-]{0,127}$/;
const DEFAULT_VIDEO = "demo";

const choose = document.getElementById("choose");
const menu = document.getElementById("menu");
const videoBox = document.getElementById("video");

let header = null;
let composer = null;
let video = null;
let conversation = null;

/** Shows the conversation of the video in the URL, in place of the one before. */
function openVideo() {
  const wanted = new URLSearchParams(location.search).get("video") ?? "";
  if (wanted === video) return; // only the part behind # has changed
  video = wanted;
  videoBox.value = video;
  conversation?.stop();
  conversation = null;
  header.showVideo(video);
  composer.open(video);
  if (!VIDEO_ID.test(video)) {
    header.show({ state: State.REFUSED, reason: t("video_none"), delayMs: 0 });
    return;
  }
  conversation = new Conversation(video, {
    onState: (state) => header.show(state),
    onViewers: (count) => header.showViewers(count),
    onVideo: () => {},
    onGivenUp: (post) => composer.bring(post),
    reader: () => composer.author,
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
  composer.focus();
}

/** iOS shows its keyboard over the page without resizing the layout. */
function fitKeyboard() {
  document.documentElement.style.setProperty("--seen", `${window.visualViewport.height}px`);
}

async function start() {
  applyTheme();
  window.visualViewport.addEventListener("resize", fitKeyboard);
  fitKeyboard();
  const chosen = kept("localStorage", "language");
  const { language, locale } = pickLanguage([...(chosen ? [chosen] : []), ...navigator.languages], languages());
  setWords(locale, await loadWords(language));
  translateDocument();
  header = new Header();
  composer = new Composer({
    onWrite: (name, text, key) => conversation?.write(name, text, key),
    onTakeBack: (key) => conversation?.takeBack(key) ?? false,
  });
  setUpHelp(languages(), language);
  listenForKeys(() => conversation?.follow());
  choose.addEventListener("submit", openChosen);
  videoBox.addEventListener("input", () => videoBox.setCustomValidity(""));
  window.addEventListener("popstate", openVideo);
  if (!new URLSearchParams(location.search).get("video")) history.replaceState(null, "", urlOf(DEFAULT_VIDEO));
  openVideo();
  document.getElementById("unstarted").remove();
}

start();
