// Keeps the canvas on the server: each part is sent a moment after it was last changed, one at a time, and only onto the
// version that we know. `onState` hears `saved`, `unsaved`, `saving`, `failed`, `conflict` or `gone`.

const QUIET_MS = 400; // after the last change
const RETRY_MS = 4000; // after a failure

export class Saver {
  #dirty = new Set();
  #isBusy;
  #last = Promise.resolve(); // what was begun last, until it has ended
  #onState;
  #send;
  #state = "saved";
  #timer = 0;
  #waiting = 0; // callers that are not answered yet

  /** `send` is `{part: async () => version after it}`; parts are sent in that order, and not while `isBusy()`. */
  constructor(send, onState, isBusy = () => false) {
    this.#send = send;
    this.#onState = onState;
    this.#isBusy = isBusy;
    this.version = 0;
  }

  get state() {
    return this.#state;
  }

  get isClean() {
    return this.#dirty.size === 0 && !this.#waiting;
  }

  touch(part) {
    if (this.#state === "gone") return;
    this.#dirty.add(part);
    if (this.#state === "conflict") return;
    this.#say("unsaved");
    this.#later(QUIET_MS);
  }

  /** Save what waits, and return when all is saved. Raises the refusal if something is not. */
  flush() {
    return this.during(() => {});
  }

  /** Save what waits, then let `act` change what the server has, while nothing is saved; one after the other. */
  async during(act) {
    this.#waiting++;
    const turn = this.#last.then(async () => {
      await this.#saveAll();
      return act();
    });
    this.#last = turn.catch(() => {});
    try {
      return await turn;
    } catch (refusal) {
      if (isStale(refusal)) this.#fail(refusal);
      throw refusal;
    } finally {
      this.#waiting--;
    }
  }

  /** Go on from this version, and write over what it holds where we have changes. */
  insist(version) {
    this.version = version;
    this.#say(this.#dirty.size ? "unsaved" : "saved");
    this.#later(0);
  }

  /** Forget what has not been sent. */
  forget() {
    clearTimeout(this.#timer);
    this.#dirty.clear();
    this.#say("saved");
  }

  /** The canvas is there no longer, so that nothing of it waits any more. */
  lose(refusal) {
    this.forget();
    this.#say("gone", refusal);
  }

  #later(wait) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => (this.#isBusy() ? this.#later(QUIET_MS) : this.flush().catch(() => {})), wait);
  }

  async #saveAll() {
    clearTimeout(this.#timer);
    if (!this.#dirty.size) return;
    this.#say("saving");
    for (const part of Object.keys(this.#send)) {
      if (!this.#dirty.delete(part)) continue;
      try {
        this.version = await this.#send[part]();
      } catch (refusal) {
        this.#dirty.add(part);
        this.#fail(refusal);
        throw refusal;
      }
    }
    if (this.#dirty.size) this.#later(QUIET_MS);
    this.#say(this.#dirty.size ? "unsaved" : "saved");
  }

  #fail(refusal) {
    if (isLost(refusal)) return this.lose(refusal);
    if (isStale(refusal)) return this.#say("conflict", refusal);
    this.#say("failed", refusal);
    this.#later(RETRY_MS);
  }

  #say(state, refusal = null) {
    this.#state = state;
    this.#onState(state, refusal);
  }
}

/** Whether what was asked for is not there. */
export function isLost(refusal) {
  return refusal.code === "not_found";
}

/** Whether somebody else has saved meanwhile. */
export function isStale(refusal) {
  return refusal.code === "stale";
}
