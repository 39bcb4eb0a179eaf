// The frame on the stage: its outline, what it adds, and handles that are dragged or moved by the arrow keys.

import { moved, resized } from "./frame.js";
import { placeOf } from "./place.js";
import { isSame } from "./rect.js";

const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const ENTRY_BYTES = 64; // what an entry of the history is counted as

export class FrameBox {
  #canvas;
  #drag = null;
  #elements;
  #stage;

  /** `canvas` has `frame`, `picture`, `grain`, `view`, `history`, `pointers` and `frameChanged({final})`. */
  constructor(stage, canvas) {
    this.#stage = stage;
    this.#canvas = canvas;
    this.#elements = stage.querySelectorAll("[data-frame]");
    stage.addEventListener("pointerdown", (event) => this.#join(event), { capture: true });
    for (const handle of stage.querySelectorAll("[data-handle]")) {
      handle.addEventListener("pointerdown", (event) => this.#grab(event, handle));
      handle.addEventListener("pointermove", (event) => this.#drag?.handle === handle && this.#pull(event));
      handle.addEventListener("pointerup", () => this.#drop());
      handle.addEventListener("pointercancel", () => this.cancel());
      handle.addEventListener("keydown", (event) => this.#nudge(event, handle.dataset.handle));
    }
  }

  get isDragged() {
    return this.#drag !== null;
  }

  /** Put the elements where the frame is seen now. */
  place() {
    const { x, y, width, height } = this.#canvas.view.rectToStage(this.#canvas.frame);
    for (const { style } of this.#elements) {
      style.transform = `translate(${x}px, ${y}px)`;
      style.inlineSize = `${width}px`;
      style.blockSize = `${height}px`;
    }
  }

  /** Drag the whole frame: what a tool does. */
  start(point) {
    this.#begin("", point);
  }

  move(point) {
    this.#follow(point);
  }

  end() {
    this.#drop();
  }

  cancel() {
    const drag = this.#drag;
    this.#drag = null;
    if (drag) this.#set(drag.frame, true);
  }

  /** Change the frame as one step of the history. */
  change(frame) {
    this.#record(this.#canvas.frame);
    this.#set(frame, true);
  }

  /** A second finger takes back the pull of the first, and both zoom and move the plane. While a pen pulls, it is a hand. */
  #join(event) {
    const last = this.#drag?.last;
    if (!last || last.pointerId === event.pointerId) return;
    if (last.pointerType === "pen" && event.pointerType === "touch") return event.stopImmediatePropagation();
    this.cancel();
    this.#canvas.pointers.adopt(last);
  }

  #grab(event, handle) {
    if (this.#canvas.pointers.areDown) return;
    event.preventDefault();
    event.stopPropagation();
    handle.setPointerCapture(event.pointerId);
    handle.focus({ preventScroll: true });
    this.#begin(handle.dataset.handle, this.#point(event), handle);
    this.#drag.last = event;
  }

  #pull(event) {
    event.stopPropagation();
    this.#drag.last = event;
    this.#follow(this.#point(event));
  }

  #point(event) {
    return this.#canvas.view.toPicture(placeOf(event, this.#stage));
  }

  #begin(sides, from, handle = null) {
    this.#drag = { sides, from, handle, frame: this.#canvas.frame };
  }

  #follow(point) {
    if (!this.#drag) return;
    const { sides, from, frame } = this.#drag;
    this.#set(this.#shifted(frame, sides, point.x - from.x, point.y - from.y), false);
  }

  #drop() {
    const drag = this.#drag;
    this.#drag = null;
    if (!drag || isSame(drag.frame, this.#canvas.frame)) return;
    this.#record(drag.frame);
    this.#canvas.frameChanged({ final: true });
  }

  #shifted(frame, sides, dx, dy) {
    const { grain, picture } = this.#canvas;
    return sides ? resized(frame, sides, dx, dy, grain, picture) : moved(frame, dx, dy, grain, picture);
  }

  #nudge(event, sides) {
    const arrow = ARROWS[event.key];
    if (!arrow || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    const { frame, grain } = this.#canvas;
    const [dx, dy] = arrow.map((step) => step * grain);
    const next = this.#shifted(frame, sides, dx, dy);
    if (!isSame(frame, next)) this.change(next);
  }

  #set(frame, final) {
    this.#canvas.frame = frame;
    this.#canvas.frameChanged({ final });
  }

  #record(other) {
    const swap = () => {
      const now = this.#canvas.frame;
      this.#set(other, true);
      other = now;
    };
    this.#canvas.history.push({ bytes: ENTRY_BYTES, swap });
  }
}
