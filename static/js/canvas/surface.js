// What is painted on the stage: the picture, or a candidate in its place, on one canvas, and the mask above it on
// another. A change of the mask repaints the rectangle that it touched and no more. Knows no tool and no server.

import { dashTile, hatchTile } from "./hatch.js";
import { zoomOf } from "./place.js";
import { overlap, rect, union, whole } from "./rect.js";

const ALPHA = 3; // byte of a pixel
const CRISP = 2; // device pixels for a pixel of the picture, from which on pixels are shown as squares
const OUTLINE = 1.5; // stage pixels
const LEAST = 72; // opacity of what is masked ever so little: it is repainted too, so it must be seen
const SEEN = Uint8Array.from({ length: 256 }, (_, byte) => byte && Math.round(LEAST + (byte * (255 - LEAST)) / 255));
const SPILL = 2; // pixels around a rectangle that scaling may touch

export class Surface {
  #dirty = null;
  #layers = [];
  #mask = null;
  #maskCanvas = null;
  #maskPen = null;
  #overlay;
  #dashes = null;
  #pattern = null;
  #picture;
  #ratio = 1;
  #stage;
  #view;
  #waiting = 0;
  #whole = true;
  #style = "hatch";

  constructor(stage, picture, overlay, view) {
    this.#stage = stage;
    this.#view = view;
    this.#picture = picture.getContext("2d");
    this.#overlay = overlay.getContext("2d", { willReadFrequently: true }); // small, constant repaints: the CPU is best
  }

  get size() {
    return { width: this.#stage.clientWidth, height: this.#stage.clientHeight };
  }

  /** Follow the stage's size and the screen's density. */
  resize() {
    this.#ratio = window.devicePixelRatio * zoomOf(this.#stage);
    for (const { canvas } of [this.#picture, this.#overlay]) {
      canvas.width = Math.max(1, Math.round(this.size.width * this.#ratio));
      canvas.height = Math.max(1, Math.round(this.size.height * this.#ratio));
    }
    const color = getComputedStyle(this.#overlay.canvas).color;
    this.#pattern = this.#overlay.createPattern(hatchTile(color, this.#ratio), "repeat");
    this.#dashes = this.#overlay.createPattern(dashTile(this.#ratio), "repeat");
    this.repaint();
  }

  setMask(mask) {
    this.#mask = mask;
    this.#maskCanvas = document.createElement("canvas");
    this.#maskCanvas.width = mask.width;
    this.#maskCanvas.height = mask.height;
    this.#maskPen = this.#maskCanvas.getContext("2d", { willReadFrequently: true });
    this.maskChanged(mask.area);
  }

  /** Show pictures, each `{image, frame}` with its place in pixels of the picture, one above the other. */
  setLayers(layers) {
    this.#layers = layers;
    this.repaint();
  }

  /** How the mask is drawn: `hatch`, `outline`, or `none`. */
  set style(style) {
    if (style === this.#style) return;
    this.#style = style;
    this.repaint();
  }

  maskChanged(area) {
    this.#dirty = union(this.#dirty, area);
    this.#ask();
  }

  repaint() {
    this.#whole = true;
    this.#ask();
  }

  #ask() {
    this.#waiting ||= requestAnimationFrame(() => this.flush());
  }

  /** Paint what waits, now. */
  flush() {
    cancelAnimationFrame(this.#waiting);
    this.#waiting = 0;
    if (!this.#mask || !this.#pattern) return;
    const area = this.#dirty;
    this.#dirty = null;
    if (area) this.#upload(area);
    if (this.#whole) this.#paintPicture();
    const all = rect(0, 0, this.#overlay.canvas.width, this.#overlay.canvas.height);
    const touched = this.#whole || this.#style === "outline" ? all : area && overlap(this.#onScreen(area), all);
    this.#whole = false;
    if (touched) this.#paintMask(touched);
  }

  #upload(area) {
    const pixels = new ImageData(area.width, area.height);
    const bytes = this.#mask.read(area);
    for (let at = 0; at < bytes.length; at++) pixels.data[4 * at + ALPHA] = SEEN[bytes[at]];
    this.#maskPen.putImageData(pixels, area.x, area.y);
  }

  /** The device pixels that a rectangle of the picture may touch. */
  #onScreen(area) {
    const { x, y, width, height } = this.#view.rectToStage(area);
    const spill = SPILL * Math.max(1, this.#view.scale * this.#ratio);
    const [left, top] = [x * this.#ratio - spill, y * this.#ratio - spill];
    return whole(rect(left, top, width * this.#ratio + 2 * spill, height * this.#ratio + 2 * spill));
  }

  #place(pen, dx = 0, dy = 0) {
    const scale = this.#view.scale * this.#ratio;
    pen.setTransform(scale, 0, 0, scale, this.#view.x * this.#ratio + dx, this.#view.y * this.#ratio + dy);
    pen.imageSmoothingEnabled = scale < CRISP;
  }

  #paintPicture() {
    const pen = this.#picture;
    pen.resetTransform();
    pen.clearRect(0, 0, pen.canvas.width, pen.canvas.height);
    this.#place(pen);
    pen.imageSmoothingQuality = "medium";
    for (const { image, frame, isRough } of this.#layers) {
      if (isRough) pen.imageSmoothingEnabled = true;
      pen.drawImage(image, frame.x, frame.y, frame.width, frame.height);
    }
  }

  #paintMask(area) {
    const pen = this.#overlay;
    pen.save();
    pen.resetTransform();
    pen.beginPath();
    pen.rect(area.x, area.y, area.width, area.height);
    pen.clip();
    pen.clearRect(area.x, area.y, area.width, area.height);
    if (this.#style === "outline") this.#outline(pen);
    if (this.#style === "hatch") this.#stamp(pen, area);
    pen.globalCompositeOperation = "source-in";
    pen.resetTransform();
    pen.fillStyle = this.#anchored(this.#style === "outline" ? this.#dashes : this.#pattern);
    pen.fillRect(area.x, area.y, area.width, area.height);
    pen.restore();
  }

  /** Draw the part of the mask that shows in these device pixels. */
  #stamp(pen, area) {
    const scale = this.#view.scale * this.#ratio;
    const corner = this.#view.toPicture({ x: area.x / this.#ratio, y: area.y / this.#ratio });
    const seen = rect(corner.x - SPILL, corner.y - SPILL, area.width / scale + 2 * SPILL, area.height / scale + 2 * SPILL);
    const part = this.#mask.clip(seen);
    if (!part) return;
    this.#place(pen);
    pen.drawImage(this.#maskCanvas, part.x, part.y, part.width, part.height, part.x, part.y, part.width, part.height);
  }

  #outline(pen) {
    const away = OUTLINE * this.#ratio;
    for (const [dx, dy] of [[-1, 0], [1, 0], [0, -1], [0, 1], [-0.7, -0.7], [0.7, -0.7], [-0.7, 0.7], [0.7, 0.7]]) {
      this.#place(pen, dx * away, dy * away);
      pen.drawImage(this.#maskCanvas, 0, 0);
    }
    pen.globalCompositeOperation = "destination-out";
    this.#place(pen);
    pen.drawImage(this.#maskCanvas, 0, 0);
  }

  /** The hatching, fixed to the plane so that it does not swim while the plane is moved. */
  #anchored(pattern) {
    pattern.setTransform(new DOMMatrix([1, 0, 0, 1, this.#view.x * this.#ratio, this.#view.y * this.#ratio]));
    return pattern;
  }
}
