/** Shows the talk of a recording in step with it: what was said until the place where it plays. */
import { firstIdAt } from "./core/ids.js";
import { movedTo, reaches, replayAt, wanted, withPage } from "./core/replay.js";
import { Timeline } from "./core/timeline.js";
import { t } from "./core/words.js";
import { HELD_DROP, HELD_MAX, PAGE_RETRY_FIRST_MS, PAGE_SIZE, REPLAY_PAGE_SIZE } from "./limits.js";
import { History } from "./net/history.js";
import { View } from "./view/follow.js";

export class Replay {
  #ended = new AbortController();
  #timeline = new Timeline(HELD_MAX, HELD_DROP);
  #view;
  #history;
  #startedAt;
  #replay = replayAt(0);
  #speed = 1;
  #begun = 0; // how often it has begun anew: answers from before don't count
  #isAsking = false;
  #older = { cursor: null, isAsking: false }; // null: there is nothing older, or it isn't known yet

  /** record: of an ended video that has begun once. positionMs: where the recording is. reader(): the reader's name */
  constructor(record, positionMs, reader) {
    this.#view = new View(this.#timeline, {
      onOlder: () => this.#loadOlder(),
      onNewest: () => {},
      onRetry: () => {},
      onGiveUp: () => {},
      isMine: () => false,
      reader,
    });
    this.#history = new History(record.id, this.#ended.signal);
    this.#startedAt = record.startedAt;
    this.#beginAt(positionMs);
  }

  stop() {
    this.#ended.abort();
    this.#view.stop();
  }

  /** Shows what was said last from now on. */
  follow() {
    this.#view.follow();
  }

  /** The recording plays, and has come there. speed: 1 as it was */
  moved(positionMs, speed) {
    this.#speed = speed;
    this.#show(positionMs);
    this.#ask();
  }

  /** The reader has jumped there. */
  sought(positionMs, speed) {
    this.#speed = speed;
    if (reaches(this.#replay, positionMs)) this.moved(positionMs, speed);
    else this.#beginAt(positionMs);
  }

  #beginAt(positionMs) {
    this.#begun += 1;
    this.#replay = replayAt(positionMs);
    this.#isAsking = this.#older.isAsking = false;
    this.#timeline.clear();
    this.#view.showAbove("");
    this.#view.follow();
    this.#older.cursor = firstIdAt(this.#startedAt + Math.floor(positionMs) + 1);
    this.#loadOlder();
    this.#ask();
  }

  #show(positionMs) {
    const { replay, said } = movedTo(this.#replay, positionMs);
    this.#replay = replay;
    for (const comment of said) {
      this.#timeline.add(comment);
      this.#view.arrived(comment, true);
    }
    if (said.length > 0) this.#timeline.bound(this.#view.start);
  }

  async #ask() {
    const next = this.#isAsking ? null : wanted(this.#replay, this.#speed);
    if (next === null) return;
    this.#isAsking = true;
    const page = await this.#try(() => this.#history.replay(next.fromMs, next.cursor, REPLAY_PAGE_SIZE));
    if (page === null) return;
    this.#isAsking = false;
    const timed = page.comments.map((comment) => ({ ...comment, offsetMs: comment.createdAt - this.#startedAt }));
    this.#replay = withPage(this.#replay, { comments: timed, nextCursor: page.nextCursor });
    this.#show(this.#replay.positionMs);
    this.#ask();
  }

  /** What was said before that place. */
  async #loadOlder() {
    const { cursor, isAsking } = this.#older;
    if (cursor === null || isAsking) return;
    this.#older.isAsking = true;
    const page = await this.#try(() => this.#history.page(cursor, PAGE_SIZE));
    if (page === null) return;
    for (const comment of page.comments) this.#timeline.add(comment);
    this.#older = { cursor: page.nextCursor, isAsking: false };
    this.#view.showAbove(page.nextCursor === null ? t("beginning") : "");
    this.#view.extendUp();
  }

  /** The answer, after as many tries as it takes; null: the talk has begun anew meanwhile, or is over. */
  async #try(ask) {
    const begun = this.#begun;
    for (;;) {
      try {
        const answer = await ask();
        return this.#begun === begun ? answer : null;
      } catch (error) {
        if (this.#begun !== begun || this.#ended.signal.aborted) return null;
        await new Promise((resolve) => setTimeout(resolve, Math.max(PAGE_RETRY_FIRST_MS, error.retryAfterMs ?? 0)));
      }
    }
  }
}
