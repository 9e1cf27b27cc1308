/** Starts the viewer's page: connects the video in the URL, its talk, the header and the composer. */
import { pickLanguage, setWords } from "./core/words.js";
import { kept } from "./kept.js";
import { languages, loadWords } from "./net/words.js";
import { Talk } from "./talk.js";
import { Composer } from "./view/composer.js";
import { Header } from "./view/header.js";
import { applyTheme, setUpHelp } from "./view/help.js";
import { listenForKeys } from "./view/keys.js";
import { Menu, addressOf } from "./view/menu.js";
import { translateDocument } from "./view/words.js";

const DEFAULT_VIDEO = "demo";

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
  const composer = new Composer({
    onWrite: (name, text, key) => talk.write(name, text, key),
    onTakeBack: (key) => talk.takeBack(key),
  });
  const talk = new Talk(new Header(), new Menu((chosen) => choose(chosen)), composer);
  function choose(chosen) {
    if (chosen === talk.video) return;
    history.pushState(null, "", addressOf(chosen));
    talk.open(chosen);
    composer.focus();
  }
  setUpHelp(languages(), language);
  listenForKeys(() => talk.follow());
  window.addEventListener("popstate", () => {
    if (videoOfAddress() !== talk.video) talk.open(videoOfAddress()); // else only the part behind # has changed
  });
  if (!videoOfAddress()) history.replaceState(null, "", addressOf(DEFAULT_VIDEO));
  talk.open(videoOfAddress());
  document.getElementById("unstarted").remove();
}

function videoOfAddress() {
  return new URLSearchParams(location.search).get("video") ?? "";
}

start();
