/** Starts the viewer's page: connects the words, the video in the URL, the name in localStorage, the talk and the form. */
import { pickLanguage, setWords } from "./core/words.js";
import { languages, loadWords } from "./net/words.js";
import { Talk } from "./talk.js";
import { Composer } from "./view/composer.js";
import { Header } from "./view/header.js";
import { Menu, addressOf } from "./view/menu.js";
import { translateDocument } from "./view/words.js";

const DEFAULT_VIDEO = "demo";

const nameBox = document.getElementById("name");

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
  keepName();
  if (!videoOfAddress()) history.replaceState(null, "", addressOf(DEFAULT_VIDEO));
  const talk = new Talk(new Header(), new Menu((chosen) => choose(talk, chosen)));
  window.addEventListener("popstate", () => {
    if (videoOfAddress() !== talk.video) talk.open(videoOfAddress()); // else only what stands behind # has changed
  });
  new Composer({ video: () => talk.video, onPosted: (comment) => talk.posted(comment) });
  talk.open(videoOfAddress());
}

function choose(talk, chosen) {
  if (chosen === talk.video) return;
  history.pushState(null, "", addressOf(chosen));
  talk.open(chosen);
  document.getElementById("message").focus();
}

function videoOfAddress() {
  return new URLSearchParams(location.search).get("video") ?? "";
}

start();
