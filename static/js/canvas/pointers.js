// Fingers, pens and mice on the stage. One draws with the tool or, with the middle button or the space bar, moves the
// plane; two fingers zoom and move it. A second finger takes back what the first has begun. While a pen draws, hands
// are ignored.

import { placeOf } from "./place.js";

const MIDDLE = 1; // button
const WHEEL_STEP = 0.0016; // zoom a unit of the wheel
const PINCH_STEP = 0.01; // the same for a touchpad, which sends small units with Ctrl
const LINE_HEIGHT = 16; // units of the wheel, where it counts lines

export class Pointers {
  #active = new Map(); // pointer id to its last place on the stage
  #canvas;
  #mode = "idle"; // idle, draw, pan, pinch, spent
  #stage;

  /** `canvas` has `view`, `tool()`, `isPanning(point)`, `viewChanged()` and `hover(place, event)`. */
  constructor(stage, canvas) {
    this.#stage = stage;
    this.#canvas = canvas;
    stage.addEventListener("pointerdown", (event) => this.#down(event));
    stage.addEventListener("pointermove", (event) => this.#move(event));
    stage.addEventListener("pointerup", (event) => this.#up(event));
    stage.addEventListener("pointercancel", (event) => this.#cancel(event));
    stage.addEventListener("pointerleave", () => canvas.hover(null));
    stage.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    stage.addEventListener("touchstart", (event) => event.preventDefault(), { passive: false }); // a stroke is no flick
  }

  get isDrawing() {
    return this.#mode === "draw";
  }

  /** Whether anything is down on the stage. */
  get areDown() {
    return this.#active.size > 0;
  }

  /** Take over a finger that has been pulling at something else, for what it does with the next one. */
  adopt(event) {
    this.#stage.setPointerCapture(event.pointerId);
    this.#active.set(event.pointerId, { ...placeOf(event, this.#stage), kind: event.pointerType });
    this.#mode = "spent";
  }

  /** Take back the stroke that is being drawn. */
  abandon() {
    if (this.#mode !== "draw") return;
    this.#canvas.tool().cancel();
    this.#mode = "spent";
  }

  #down(event) {
    if (event.pointerType === "mouse" && event.button !== 0 && event.button !== MIDDLE) return;
    if (this.#mode === "draw" && this.#penIsDown && event.pointerType === "touch") return;
    event.preventDefault();
    if (document.activeElement !== this.#stage) document.activeElement?.blur(); // so that keys go to the canvas
    this.#stage.setPointerCapture(event.pointerId);
    this.#active.set(event.pointerId, { ...placeOf(event, this.#stage), kind: event.pointerType });
    if (this.#active.size > 1) return this.#beginPinch();
    const isPan = event.button === MIDDLE || this.#canvas.isPanning(this.#point(event));
    this.#mode = isPan ? "pan" : "draw";
    if (!isPan) this.#canvas.tool().start(this.#point(event), { alt: event.altKey });
  }

  get #penIsDown() {
    return [...this.#active.values()].some(({ kind }) => kind === "pen");
  }

  #beginPinch() {
    this.abandon();
    this.#mode = "pinch";
  }

  #move(event) {
    const place = placeOf(event, this.#stage);
    this.#canvas.hover(place, event);
    const before = this.#active.get(event.pointerId);
    if (!before) return;
    if (this.#mode === "draw") this.#draw(event);
    else if (this.#mode === "pan") this.#pan(before, place);
    else if (this.#mode === "pinch") this.#pinch(event.pointerId, before, place);
    this.#active.set(event.pointerId, { ...place, kind: before.kind });
  }

  #draw(event) {
    const steps = event.getCoalescedEvents?.() ?? [];
    for (const step of steps.length ? steps : [event]) this.#canvas.tool().move(this.#point(step));
  }

  #pan(before, place) {
    this.#canvas.view.pan(place.x - before.x, place.y - before.y);
    this.#canvas.viewChanged();
  }

  #pinch(id, before, place) {
    const other = [...this.#active].find(([key]) => key !== id)?.[1];
    if (!other) return;
    const apart = (point) => Math.hypot(point.x - other.x, point.y - other.y) || 1;
    const view = this.#canvas.view;
    view.pan((place.x - before.x) / 2, (place.y - before.y) / 2);
    view.zoom(apart(place) / apart(before), { x: (place.x + other.x) / 2, y: (place.y + other.y) / 2 });
    this.#canvas.viewChanged();
  }

  #up(event) {
    if (!this.#active.delete(event.pointerId)) return;
    if (this.#mode === "draw") this.#canvas.tool().end();
    this.#rest();
  }

  #cancel(event) {
    if (!this.#active.delete(event.pointerId)) return;
    if (this.#mode === "draw") this.#canvas.tool().cancel();
    this.#rest();
  }

  /** After a pinch the finger that is left neither draws nor moves anything. */
  #rest() {
    this.#mode = this.#active.size ? "spent" : "idle";
  }

  #wheel(event) {
    event.preventDefault();
    const unit = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? LINE_HEIGHT : 1;
    if (event.shiftKey) this.#canvas.view.pan(-(event.deltaX || event.deltaY) * unit, 0);
    else {
      const step = event.ctrlKey ? PINCH_STEP : WHEEL_STEP;
      this.#canvas.view.zoom(Math.exp(-event.deltaY * unit * step), placeOf(event, this.#stage));
    }
    this.#canvas.viewChanged();
  }

  /** A point of the picture; `pressure` is 1 for what has none. */
  #point(event) {
    const point = this.#canvas.view.toPicture(placeOf(event, this.#stage));
    return { ...point, pressure: event.pointerType === "pen" ? event.pressure : 1 };
  }
}
