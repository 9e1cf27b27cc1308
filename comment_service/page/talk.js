/**
 * One video in the page: what the service tells of it, the video itself, and its talk. That is the conversation; or,
 * while a recording plays, what was said until the place where it plays.
 */
import { Conversation } from "./conversation.js";
import { State } from "./core/states.js";
import { Life, isVideoId } from "./core/video.js";
import { t } from "./core/words.js";
import { Replay } from "./replay.js";
import { Player } from "./view/player.js";

export class Talk {
  #header;
  #menu;
  #player;
  #composer;
  #compose = document.getElementById("compose");
  #closed = document.getElementById("closed");
  #whole = document.getElementById("whole");
  #video = "";
  #record = null; // of the video; null: nothing is known
  #isRecording = false; // what plays is as long as the video was; a live stream begins anywhere
  #conversation = null;
  #replay = null;

  constructor(header, menu, composer) {
    this.#header = header;
    this.#menu = menu;
    this.#composer = composer;
    this.#player = new Player({
      onMoved: (positionMs, speed) => this.#replay?.moved(positionMs, speed),
      onSought: (positionMs, speed) => this.#replay?.sought(positionMs, speed),
      onPlayed: (positionMs) => this.#played(positionMs),
    });
    this.#whole.addEventListener("click", () => this.#showWhole());
  }

  /** The id of the video that is shown */
  get video() {
    return this.#video;
  }

  /** Shows another video, or says that there is none with such an id. */
  open(video) {
    this.#leave();
    this.#player.close();
    this.#video = video;
    this.#header.showVideo(video);
    this.#menu.showVideo(video, null);
    this.#composer.open(video);
    this.#tell(null);
    if (isVideoId(video)) {
      this.#converse();
      return;
    }
    this.#header.show({ state: State.NO_VIDEO, reason: t("video_none"), delayMs: 0 });
    this.#compose.hidden = true;
  }

  /** As Conversation.write */
  write(name, text, key) {
    return this.#conversation?.write(name, text, key);
  }

  /** As Conversation.takeBack */
  takeBack(key) {
    return this.#conversation?.takeBack(key) ?? false;
  }

  /** Shows the newest comments from now on. */
  follow() {
    (this.#conversation ?? this.#replay)?.follow();
  }

  #converse() {
    this.#conversation = new Conversation(this.#video, {
      onState: (state) => this.#header.show(state),
      onViewers: (count) => this.#header.showViewers(count),
      onVideo: (record) => this.#tell(record),
      onGivenUp: (post) => this.#composer.bring(post),
      reader: () => this.#composer.author,
    });
  }

  #leave() {
    this.#conversation?.stop();
    this.#replay?.stop();
    this.#conversation = this.#replay = null;
    this.#whole.hidden = true;
  }

  #tell(record) {
    if (record !== null && record.id !== this.#video) return;
    const isOver = record?.state === Life.ENDED;
    this.#record = record;
    this.#header.showRecord(record);
    this.#compose.hidden = isOver;
    this.#closed.hidden = !isOver;
    if (record === null) return;
    this.#menu.showVideo(record.id, record.title);
    if (this.#player.open(record.playbackUrl)) this.#isRecording = isOver;
  }

  #played(positionMs) {
    if (this.#replay !== null || !this.#isRecording || this.#record.startedAt === null) return;
    this.#leave();
    this.#header.showViewers(null);
    this.#replay = new Replay(this.#record, positionMs, () => this.#composer.author);
    this.#whole.hidden = false;
  }

  #showWhole() {
    this.#leave();
    this.#converse();
  }
}
