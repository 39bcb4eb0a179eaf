// The stage and all that happens on it without a server: picture, mask, frame, tools, view and undo. Tells what changed
// through `heard`: `maskChanged()`, `frameChanged()`, `settingsChanged()`, `drawingBegan()`.

import { Edits } from "./edits.js";
import { FrameBox } from "./frame-box.js";
import { History } from "./history.js";
import { Pointers } from "./pointers.js";
import { rect, union } from "./rect.js";
import { Ring } from "./ring.js";
import { Surface } from "./surface.js";
import { Brush, Bucket, Lasso, Rectangle } from "./tools.js";
import { View } from "./view.js";

const BIGGEST = 1024; // pixels across, of a brush
const FOOT = 44; // stage pixels at the bottom that the zoom buttons cover
const GROWTH = 1.18; // of the brush, a key press
const HEAD = 32; // stage pixels at the top that the facts of the picture cover, where they stand there
const ROOM = 0.2; // of the longer side, around the frame when it is about to be moved
const WHOLE_PICTURE_AT_MOST = 4; // scale when a picture is fitted that is smaller than the stage

export class Workbench {
  frame = rect(0, 0, 1, 1);
  grain = 8;
  history = new History();
  mask = null;
  picture = { width: 1, height: 1, image: null };
  pointers;
  settings = { size: 48, hardness: 0.8, remove: false };
  view = new View();
  #box;
  #edits = null;
  #heard;
  #holdsPan = false;
  #isFitted = false;
  #ring;
  #root;
  #size = null;
  #surface;
  #toolName = "brush";
  #tools = {};

  constructor(root, heard) {
    this.#root = root;
    this.#heard = heard;
    const stage = root.querySelector("[data-stage]");
    this.#surface = new Surface(stage, root.querySelector("[data-picture]"), root.querySelector("[data-mask]"), this.view);
    this.#box = new FrameBox(stage, this);
    this.#ring = new Ring(root.querySelector("[data-ring]"), this);
    this.pointers = new Pointers(stage, this);
    new ResizeObserver(() => this.#resized()).observe(stage);
    this.#watchDensity();
  }

  /** Show another picture with its mask and frame; what could be undone is forgotten. */
  open({ picture, mask, frame, grain }) {
    this.abandon();
    Object.assign(this, { picture, mask, frame, grain });
    this.history.forget();
    this.#edits = new Edits(mask, this.history, {
      changed: (area) => this.#surface.maskChanged(area),
      committed: () => this.#heard.maskChanged(),
    });
    this.#tools = this.#makeTools();
    this.#surface.setMask(mask);
    this.look(null);
    this.frameChanged({ final: false });
  }

  #makeTools() {
    const show = (points) => this.#showShape(points);
    return {
      brush: new Brush(this.#edits, this.settings, false),
      eraser: new Brush(this.#edits, this.settings, true),
      rectangle: new Rectangle(this.#edits, this.settings, show),
      lasso: new Lasso(this.#edits, this.settings, show),
      fill: new Bucket(this.#edits, this.settings, show),
      frame: this.#box,
    };
  }

  get isBusy() {
    return this.pointers.isDrawing || this.#box.isDragged;
  }

  get toolName() {
    return this.#toolName;
  }

  choose(name) {
    if (this.isBusy) return;
    this.#toolName = name;
    this.#root.dataset.tool = name;
    for (const button of this.#root.querySelectorAll("[data-tool-name]")) {
      button.setAttribute("aria-pressed", String(button.dataset.toolName === name));
    }
    if (name === "frame") this.#giveFrameRoom();
    this.#ring.update();
  }

  // What pointers ask for.

  tool() {
    this.#heard.drawingBegan();
    return this.#tools[this.#toolName];
  }

  isPanning(point) {
    if (this.#holdsPan || this.#toolName === "hand" || !this.mask) return true;
    const { x, y, width, height } = this.frame;
    const isInside = point.x >= x && point.y >= y && point.x < x + width && point.y < y + height;
    return this.#toolName === "frame" && !isInside;
  }

  hover(place, event) {
    this.#ring.hover(place, event);
  }

  viewChanged({ isFitted = false } = {}) {
    this.#isFitted = isFitted;
    this.#box.place();
    this.#ring.update();
    this.#surface.repaint();
    this.#root.querySelector("[data-zoom]").textContent = `${Math.round(this.view.scale * 100)} %`;
  }

  frameChanged({ final }) {
    const { frame, picture } = this;
    this.#root.dataset.framed = String(frame.x || frame.y || frame.width !== picture.width || frame.height !== picture.height ? "apart" : "whole");
    this.#box.place();
    this.#heard.frameChanged({ final });
  }

  // What buttons and keys ask for.

  set holdsPan(holds) {
    this.#holdsPan = holds;
    this.#root.toggleAttribute("data-panning", holds);
  }

  change(act) {
    if (!this.isBusy) this.#edits?.apply(act);
  }

  setFrame(frame) {
    if (!this.isBusy) this.#box.change(frame);
  }

  /** Take back the stroke, or the pull at the frame, that is under way. */
  abandon() {
    this.pointers.abandon();
    this.#box.cancel();
  }

  undo() {
    if (!this.isBusy) this.history.undo();
  }

  redo() {
    if (!this.isBusy) this.history.redo();
  }

  resizeBrush(direction) {
    const size = Math.round(this.settings.size * GROWTH ** direction);
    this.brush = { size: size === this.settings.size ? size + direction : size };
  }

  set brush(changes) {
    Object.assign(this.settings, changes);
    this.settings.size = Math.min(BIGGEST, Math.max(1, this.settings.size));
    this.#ring.update();
    this.#heard.settingsChanged();
  }

  zoom(factor) {
    const { width, height } = this.#surface.size;
    this.view.zoom(factor, { x: width / 2, y: height / 2 });
    this.viewChanged();
  }

  zoomTo(scale) {
    this.zoom(scale / this.view.scale);
  }

  fit(area = union(this.frame, rect(0, 0, this.picture.width, this.picture.height))) {
    const { width, height } = this.#surface.size;
    const head = this.#root.querySelector("[data-about]").offsetTop < HEAD ? HEAD : 0;
    this.view.fit(area, { width, height: height - FOOT - head }, WHOLE_PICTURE_AT_MOST);
    this.view.pan(0, head);
    this.viewChanged({ isFitted: true });
  }

  #giveFrameRoom() {
    const { x, y, width, height } = union(this.frame, rect(0, 0, this.picture.width, this.picture.height));
    const room = ROOM * Math.max(width, height);
    const area = rect(x - room, y - room, width + 2 * room, height + 2 * room);
    const seen = this.view.rectToStage(area);
    const { width: across, height: down } = this.#surface.size;
    if (seen.x < 0 || seen.y < 0 || seen.x + seen.width > across || seen.y + seen.height > down) this.fit(area);
  }

  /**
   * Show a candidate `{image, frame, isFinal}` over the picture, or with null the picture and its mask. The mask belongs
   * to the picture: of a candidate that is being made, or compared with the picture, it shows the outline, and a final
   * one stands for itself.
   */
  look(candidate) {
    const base = { image: this.picture.image, frame: rect(0, 0, this.picture.width, this.picture.height) };
    const layers = candidate?.isFinal ? [] : [base];
    if (candidate?.image) layers.push({ ...candidate, isRough: !candidate.isFinal });
    this.#surface.style = candidate ? (candidate.isFinal ? "none" : "outline") : "hatch";
    this.#surface.setLayers(layers.filter(({ image }) => image));
  }

  flush() {
    this.#surface.flush();
  }

  #showShape(points) {
    const places = points.map((point) => this.view.toStage(point)).map(({ x, y }) => `${x.toFixed(1)},${y.toFixed(1)}`);
    for (const shape of this.#root.querySelectorAll("[data-shape]")) shape.setAttribute("points", places.join(" "));
  }

  /** On a screen of another density, the stage may keep its size. */
  #watchDensity() {
    const now = matchMedia(`(resolution: ${window.devicePixelRatio}dppx)`);
    const again = () => {
      this.#resized();
      this.#watchDensity();
    };
    now.addEventListener("change", again, { once: true });
  }

  /** What was fitted stays fitted; otherwise what is in the middle of the stage stays in the middle. */
  #resized() {
    const { width, height } = this.#surface.size;
    if (!width || !height) return;
    const before = this.#size;
    this.#size = { width, height };
    this.#surface.resize();
    if (!before || !this.mask) return;
    if (this.#isFitted) return this.fit();
    this.view.pan((width - before.width) / 2, (height - before.height) / 2);
    this.viewChanged();
  }
}
