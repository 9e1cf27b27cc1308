/** The viewer's page: wires the video in the URL, the name in localStorage, the room and the form. */
import { Compose } from "./compose.js";
import { Room } from "./room.js";
import { Status } from "./status.js";

const VIDEO_ID = /^[A-Za-z0-9_-][A-Za-z0-9_.:~-]{0,127}$/;
const FIRST_VIDEO = "demo";

const choose = document.getElementById("choose");
const videoBox = document.getElementById("video");
const nameBox = document.getElementById("name");

const status = new Status();
let video = "";
let room = null;

/** Leaves the room and enters that of the video in the URL. */
function enter() {
  video = new URLSearchParams(location.search).get("video") ?? "";
  videoBox.value = video;
  document.title = `${video} · Live comments`;
  room?.stop();
  status.showViewers(null);
  room = new Room(video, {
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
  enter();
  document.getElementById("message").focus();
});
videoBox.addEventListener("input", () => videoBox.setCustomValidity(""));
window.addEventListener("popstate", enter);

// Private windows of some browsers have no localStorage: then the name lasts as long as the page.
try {
  nameBox.value = localStorage.getItem("name") ?? "";
  nameBox.addEventListener("input", () => localStorage.setItem("name", nameBox.value.trim()));
} catch {
  nameBox.value = "";
}

// iOS lays its keyboard over the page without telling the layout.
function fit() {
  document.documentElement.style.setProperty("--seen", `${window.visualViewport.height}px`);
}
window.visualViewport.addEventListener("resize", fit);
fit();

if (!new URLSearchParams(location.search).get("video")) history.replaceState(null, "", urlOf(FIRST_VIDEO));
new Compose({ video: () => video, onPosted: (comment) => comment.liveVideoId === video && room.posted(comment) });
enter();
