/** Starts the viewer's page: connects the video in the URL, the name in localStorage, the conversation and the form. */
import { Compose } from "./compose.js";
import { Conversation } from "./conversation.js";
import { Status } from "./status.js";

const VIDEO_ID = /^[A-Za-z0-9_-][A-Za-z0-9_.:~-]{0,127}$/;
const DEFAULT_VIDEO = "demo";

const choose = document.getElementById("choose");
const videoBox = document.getElementById("video");
const nameBox = document.getElementById("name");

const status = new Status();
let video = "";
let conversation = null;

/** Shows the conversation of the video in the URL, in place of the one before. */
function openVideo() {
  video = new URLSearchParams(location.search).get("video") ?? "";
  videoBox.value = video;
  document.title = `${video} · Live comments`;
  conversation?.stop();
  status.showViewers(null);
  conversation = new Conversation(video, {
    onState: (state) => status.show(state),
    onViewers: (count) => status.showViewers(count),
  });
}

function urlOf(chosen) {
  return `?${new URLSearchParams({ video: chosen })}`;
}

choose.addEventListener("submit", (event) => {
  event.preventDefault();
  const chosen = videoBox.value.trim();
  videoBox.setCustomValidity(VIDEO_ID.test(chosen) ? "" : "1 to 128 letters, digits, and _ - . : ~");
  if (!choose.reportValidity() || chosen === video) return;
  history.pushState(null, "", urlOf(chosen));
  openVideo();
  document.getElementById("message").focus();
});
videoBox.addEventListener("input", () => videoBox.setCustomValidity(""));
window.addEventListener("popstate", openVideo);

// Private windows of some browsers have no localStorage. Then the name is kept only while the page is open.
try {
  nameBox.value = localStorage.getItem("name") ?? "";
  nameBox.addEventListener("input", () => localStorage.setItem("name", nameBox.value.trim()));
} catch {
  nameBox.value = "";
}

// iOS shows its keyboard over the page without resizing the layout.
function fitKeyboard() {
  document.documentElement.style.setProperty("--seen", `${window.visualViewport.height}px`);
}
window.visualViewport.addEventListener("resize", fitKeyboard);
fitKeyboard();

if (!new URLSearchParams(location.search).get("video")) history.replaceState(null, "", urlOf(DEFAULT_VIDEO));
new Compose({
  video: () => video,
  onPosted: (comment) => comment.liveVideoId === video && conversation.posted(comment),
});
openVideo();
