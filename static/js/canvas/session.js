// The canvas on the server: loading it, saving what is done on the stage, asking for candidates, and what becomes of them.

import { ask } from "./api.js";
import { follow } from "./live.js";
import { Mask } from "./mask.js";
import { encode, load, picture } from "./png.js";
import { isLost, Saver } from "./saver.js";

const SETTLE_MS = 250; // several events in a row ask for one reading

export class Session {
  #adopt;
  #changed;
  #generating = Promise.resolve(); // what was asked for last, until it is answered
  #id;
  #imageId = ""; // of the picture that is on the stage
  #loading = 0;
  #mask = null;
  #parts;
  #saver;
  #staging;
  canvas = null;

  /**
   * `parts` is `{frame: () => ..., settings: () => ...}`, read when they are saved. `adopt({picture, mask, frame, canvas})`
   * is called with another picture or state, `changed(canvas)` when candidates or history have changed. While `isBusy()`,
   * in the middle of a stroke, nothing is saved.
   */
  constructor(id, { staging, parts, adopt, changed, saved, isBusy }) {
    this.#id = id;
    this.#staging = staging;
    this.#parts = parts;
    this.#adopt = adopt;
    this.#changed = changed;
    this.#saver = new Saver(
      { mask: () => this.#sendMask(), frame: () => this.#patch("frame"), settings: () => this.#patch("settings") },
      saved,
      isBusy,
    );
    addEventListener("online", () => this.#saver.flush().catch(() => {}));
    addEventListener("beforeunload", (event) => this.#saver.isClean || event.preventDefault());
    document.addEventListener("visibilitychange", () => (document.hidden ? this.#saver.flush().catch(() => {}) : this.refresh()));
  }

  get #url() {
    return `/api/canvases/${this.#id}`;
  }

  touch(part) {
    this.#saver.touch(part);
  }

  /** What was changed so far came from the server itself. */
  forget() {
    this.#saver.forget();
  }

  async start() {
    await this.reload();
    follow({ progress: (body) => this.#staging.progress(body), changed: () => this.#heard() });
  }

  /** Take over everything from the server, and forget what was not saved. */
  async reload() {
    await this.#take(await ask("GET", this.#url));
  }

  /** Look whether something is new, unless something of ours still has to be saved. */
  async refresh() {
    const known = this.#saver.version;
    const canvas = await ask("GET", this.#url).catch((refusal) => isLost(refusal) && this.#saver.lose(refusal));
    if (!canvas) return;
    if (this.#saver.version !== known) return this.refresh(); // this may have been read before we saved
    const isOther = canvas.version !== this.#saver.version && this.#saver.isClean;
    if (isOther) await this.#take(canvas, { isOffered: true });
    else this.#note(canvas); // a version that is not ours is met when we save
  }

  /** Keep what is here, although something else was saved meanwhile; also the picture, if another was gone on with. */
  async insist() {
    let { version, image } = await ask("GET", this.#url);
    if (image.id !== this.#imageId) {
      const headers = { "If-Match": String(version) };
      ({ version } = await ask("POST", `${this.#url}/checkout`, { json: { image_id: this.#imageId }, headers }));
      for (const part of ["mask", "frame"]) this.#saver.touch(part); // going there has cleared them
    }
    this.#saver.insist(version);
    await this.refresh();
  }

  async generate(request) {
    this.#generating = this.#saver.during(async () => {
      await ask("POST", `${this.#url}/candidates`, { json: request, headers: this.#headers });
      this.#note(await ask("GET", this.#url), { isFresh: true, isOurs: true });
    });
    await this.#generating;
  }

  accept(imageId) {
    return this.#act("accept", { image_id: imageId });
  }

  checkout(imageId) {
    return this.#act("checkout", { image_id: imageId });
  }

  /** Take all candidates off the strip; the pictures stay in the gallery. */
  keep() {
    return this.#shift("discard", { job: null });
  }

  /** Have a candidate that failed, or was cancelled, made again. */
  async retry({ job }) {
    await ask("POST", `/api/jobs/${job}/retry`);
    await this.refresh();
  }

  /** Throw a candidate away with its picture; for a while it is among `canvas.discarded`. */
  discard(job) {
    return this.#shift("discard", { job, delete: true });
  }

  /** Bring one back. */
  restore(job) {
    return this.#shift("restore", { job }, { isFresh: true });
  }

  async #shift(action, json, { isFresh = false } = {}) {
    await this.#saver.during(async () => {
      this.#note(await ask("POST", `${this.#url}/${action}`, { json, headers: this.#headers }), { isFresh, isOurs: true });
    });
  }

  async #act(action, json) {
    await this.#saver.during(async () => {
      await this.#take(await ask("POST", `${this.#url}/${action}`, { json, headers: this.#headers }));
    });
  }

  /** Put this on the stage; what is only offered yields to what was done there while its picture was loaded. */
  async #take(canvas, { isOffered = false } = {}) {
    const [image, mask] = [await picture(canvas.image.url), new Mask(canvas.image.width, canvas.image.height)];
    if (canvas.mask_url) await load(mask, canvas.mask_url);
    if (isOffered && !this.#saver.isClean) return this.#note(canvas);
    this.#mask = mask;
    this.#imageId = canvas.image.id;
    this.#saver.forget();
    this.#note(canvas, { isOurs: true, quietly: true });
    this.#adopt({ picture: { ...canvas.image, image }, mask, frame: canvas.frame, canvas });
    this.#changed(canvas);
  }

  #note(canvas, { isFresh = false, isOurs = false, quietly = false } = {}) {
    if (isOurs) this.#saver.version = canvas.version;
    this.canvas = canvas;
    this.#staging.update(canvas.candidates, { isFresh });
    if (!quietly) this.#changed(canvas);
  }

  /** Look at all anew, after what is being asked for: a job can end before its own POST is answered. */
  #heard() {
    this.#loading ||= setTimeout(async () => {
      await this.#generating.catch(() => {}); // whoever asked has been told
      this.#loading = 0;
      await this.refresh();
    }, SETTLE_MS);
  }

  get #headers() {
    return { "If-Match": String(this.#saver.version) };
  }

  async #sendMask() {
    const headers = this.#headers;
    const answer = this.#mask.isBlank
      ? await ask("DELETE", `${this.#url}/mask`, { headers })
      : await ask("PUT", `${this.#url}/mask`, { body: await encode(this.#mask), headers: { ...headers, "Content-Type": "image/png" } });
    return answer.version;
  }

  async #patch(part) {
    const answer = await ask("PATCH", this.#url, { json: { [part]: this.#parts[part]() }, headers: this.#headers });
    return answer.version;
  }
}
