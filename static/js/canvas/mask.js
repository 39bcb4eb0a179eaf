// The mask: a byte for each pixel of the picture, 0 keeps it and 255 repaints it. Every change returns the rectangle
// that it touched, null if none. The bytes are the truth: what a canvas shows is made from them, never read back.

import { overlap, rect, whole } from "./rect.js";

const FULL = 255;
const HALF = 128;
const EDGE = 0.5; // pixels on either side of a hard rim, which a pixel of it covers in part

export class Mask {
  #bytes;

  constructor(width, height) {
    this.width = width;
    this.height = height;
    this.#bytes = new Uint8Array(width * height);
  }

  get bytes() {
    return this.#bytes;
  }

  get area() {
    return rect(0, 0, this.width, this.height);
  }

  get isBlank() {
    return this.coverage === 0;
  }

  /** The share that is repainted, 0 to 1. */
  get coverage() {
    const bytes = this.#bytes;
    let sum = 0;
    for (let at = 0; at < bytes.length; at++) sum += bytes[at];
    return sum / (FULL * bytes.length);
  }

  /** The part of a rectangle of whole pixels that lies in the mask. */
  clip(area) {
    return overlap(whole(area), this.area);
  }

  /** A copy of the bytes of `area`, row by row. */
  read(area) {
    const copy = new Uint8Array(area.width * area.height);
    for (let row = 0; row < area.height; row++) {
      const start = (area.y + row) * this.width + area.x;
      copy.set(this.#bytes.subarray(start, start + area.width), row * area.width);
    }
    return copy;
  }

  /** Put back what `read` gave. */
  write(area, bytes) {
    for (let row = 0; row < area.height; row++) {
      const source = bytes.subarray(row * area.width, (row + 1) * area.width);
      this.#bytes.set(source, (area.y + row) * this.width + area.x);
    }
    return area;
  }

  /**
   * Paint, or with `remove` wipe, the line between two points `{x, y, radius}`. From `hardness` (0 to 1) of the radius
   * on it fades. Where a stroke crosses itself nothing adds up.
   */
  line(from, to, hardness, remove) {
    const reach = Math.max(from.radius, to.radius) + EDGE;
    const [left, top] = [Math.min(from.x, to.x) - reach, Math.min(from.y, to.y) - reach];
    const area = this.clip(rect(left, top, Math.abs(from.x - to.x) + 2 * reach, Math.abs(from.y - to.y) + 2 * reach));
    if (area) this.#paint(area, from, to, hardness, remove);
    return area;
  }

  #paint(area, from, to, hardness, remove) {
    const [dx, dy] = [to.x - from.x, to.y - from.y];
    const perLength = dx || dy ? 1 / (dx * dx + dy * dy) : 0;
    const reach = Math.max(from.radius, to.radius) + EDGE;
    const [bytes, done] = [this.#bytes, remove ? 0 : FULL];
    for (let y = area.y; y < area.y + area.height; y++) {
      const py = y + 0.5 - from.y;
      const [start, end] = this.#reached(area, from, to, py, reach);
      for (let x = start, at = y * this.width + x; x < end; x++, at++) {
        if (bytes[at] === done) continue;
        const px = x + 0.5 - from.x;
        const along = Math.min(1, Math.max(0, (px * dx + py * dy) * perLength));
        const [ox, oy] = [px - along * dx, py - along * dy];
        const radius = from.radius + along * (to.radius - from.radius);
        const [square, outer] = [ox * ox + oy * oy, radius + EDGE];
        if (square >= outer * outer) continue;
        const inner = Math.max(0, radius * hardness - EDGE);
        const value = square <= inner * inner ? FULL : ((outer - Math.sqrt(square)) / (outer - inner)) * FULL;
        bytes[at] = remove ? Math.min(bytes[at], FULL - value) : Math.max(bytes[at], value);
      }
    }
  }

  /** The columns of `area` that a line can touch in the row `py` below its beginning. */
  #reached(area, from, to, py, reach) {
    const dy = to.y - from.y;
    const share = (offset) => (dy ? Math.min(1, Math.max(0, (py + offset) / dy)) : Number(offset > 0));
    const [a, b] = [from.x + share(-reach) * (to.x - from.x), from.x + share(reach) * (to.x - from.x)];
    const start = Math.max(area.x, Math.floor(Math.min(a, b) - reach));
    return [start, Math.min(area.x + area.width, Math.ceil(Math.max(a, b) + reach))];
  }

  rectangle(area, remove) {
    const inside = this.clip(area);
    if (!inside) return null;
    for (let y = inside.y; y < inside.y + inside.height; y++) {
      const start = y * this.width + inside.x;
      this.#bytes.fill(remove ? 0 : FULL, start, start + inside.width);
    }
    return inside;
  }

  /** What a line through `points` encloses; where it crosses itself, by the even-odd rule. */
  polygon(points, remove) {
    if (points.length < 3) return null;
    const [xs, ys] = [points.map((point) => point.x), points.map((point) => point.y)];
    const [left, top] = [Math.min(...xs), Math.min(...ys)];
    const area = this.clip(rect(left, top, Math.max(...xs) - left, Math.max(...ys) - top));
    if (!area) return null;
    for (let y = area.y; y < area.y + area.height; y++) {
      const cuts = crossings(points, y + 0.5);
      for (let i = 0; i + 1 < cuts.length; i += 2) this.#span(y, cuts[i], cuts[i + 1], remove);
    }
    return area;
  }

  /** Set the pixels of a row whose middles lie between two x. */
  #span(y, from, to, remove) {
    const start = Math.max(0, Math.ceil(from - 0.5));
    const end = Math.min(this.width, Math.ceil(to - 0.5));
    if (start < end) this.#bytes.fill(remove ? 0 : FULL, y * this.width + start, y * this.width + end);
  }

  /**
   * Fill what is free around a point, up to the ridge of what encloses it; with `remove` the other way round. A soft
   * rim is climbed but never descended, so that no pale seam is left and nothing leaks through.
   */
  flood(x, y, remove) {
    if (x < 0 || y < 0 || x >= this.width || y >= this.height) return null;
    const [bytes, width, before, flip] = [this.#bytes, this.width, this.#bytes.slice(), remove ? FULL : 0];
    const seed = Math.floor(y) * width + Math.floor(x);
    if ((before[seed] ^ flip) >= HALF) return null;
    const [seen, queue] = [new Uint8Array(before.length), new Int32Array(before.length)];
    let waiting = 0;
    const visit = (next, here) => {
      const there = before[next] ^ flip;
      if (seen[next] || !(there > here || (here < HALF && there < HALF))) return;
      seen[next] = 1;
      queue[waiting++] = next;
    };
    visit(seed, 0);
    while (waiting) {
      const at = queue[--waiting];
      const [here, column] = [before[at] ^ flip, at % width];
      bytes[at] = FULL ^ flip;
      if (column > 0) visit(at - 1, here);
      if (column < width - 1) visit(at + 1, here);
      if (at >= width) visit(at - width, here);
      if (at + width < bytes.length) visit(at + width, here);
    }
    return this.area;
  }

  fill() {
    this.#bytes.fill(FULL);
    return this.area;
  }

  clear() {
    this.#bytes.fill(0);
    return this.area;
  }

  invert() {
    for (let at = 0; at < this.#bytes.length; at++) this.#bytes[at] = FULL - this.#bytes[at];
    return this.area;
  }
}

/** Where the closed line through `points` crosses the height `y`, from left to right. */
function crossings(points, y) {
  const cuts = [];
  for (let i = 0, j = points.length - 1; i < points.length; j = i++) {
    const [a, b] = [points[i], points[j]];
    if (a.y > y !== b.y > y) cuts.push(a.x + ((y - a.y) * (b.x - a.x)) / (b.y - a.y));
  }
  return cuts.sort((one, other) => one - other);
}
