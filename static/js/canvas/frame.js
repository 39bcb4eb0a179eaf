// The frame: the rectangle of the plane that the next picture shows, in pixels of this one. Plain values. Its sides are
// multiples of `grain` and its place snaps to it, so that the networks get what they can work on.

import { overlap, rect } from "./rect.js";

export const SIDES = ["left", "right", "top", "bottom"];
const MAX_PIXELS = 4_200_000; // as the server takes
export const MAX_SIDE = 2048; // pixels
export const MIN_SIDE = 64; // pixels

const snap = (value, grain) => Math.round(value / grain) * grain;

/** Move a frame by as much; at least a corner of it stays on the picture. */
export function moved(frame, dx, dy, grain, picture) {
  const x = snap(frame.x + dx, grain);
  const y = snap(frame.y + dy, grain);
  return rect(
    Math.min(picture.width - grain, Math.max(grain - frame.width, x)),
    Math.min(picture.height - grain, Math.max(grain - frame.height, y)),
    frame.width,
    frame.height,
  );
}

/** Drag the sides that `handle` names ("left", "top right", ...) by as much; the others stay. */
export function resized(frame, handle, dx, dy, grain, picture) {
  let [left, top, right, bottom] = [frame.x, frame.y, frame.x + frame.width, frame.y + frame.height];
  const least = Math.ceil(MIN_SIDE / grain) * grain;
  const widest = Math.min(MAX_SIDE, Math.floor(MAX_PIXELS / frame.height / grain) * grain);
  if (handle.includes("left")) left = right - side(right - left - dx, grain, least, widest);
  if (handle.includes("right")) right = left + side(right - left + dx, grain, least, widest);
  const highest = Math.min(MAX_SIDE, Math.floor(MAX_PIXELS / (right - left) / grain) * grain);
  if (handle.includes("top")) top = bottom - side(bottom - top - dy, grain, least, highest);
  if (handle.includes("bottom")) bottom = top + side(bottom - top + dy, grain, least, highest);
  const found = rect(left, top, right - left, bottom - top);
  return overlap(found, rect(0, 0, picture.width, picture.height)) ? found : frame;
}

/** The nearest frame that can be. It shows some of the picture; its right and lower sides yield to the others. */
export function possible(frame, grain, picture) {
  const [x, width] = span(frame.x, frame.width, grain, picture.width);
  const [y, height] = span(frame.y, frame.height, grain, picture.height);
  return rect(x, y, width, height);
}

function span(start, length, grain, whole) {
  const least = Math.ceil(MIN_SIDE / grain) * grain;
  const most = Math.floor(MAX_SIDE / grain) * grain;
  const from = Math.min(Math.floor(whole / grain - 1) * grain, Math.max(Math.ceil((whole - most) / grain) * grain, start));
  const end = Math.min(from + most, Math.max(from + least, grain, start + length));
  return [from, end - from];
}

function side(length, grain, least, most) {
  return Math.min(Math.floor(most / grain) * grain, Math.max(least, snap(length, grain)));
}

/** How far a frame goes beyond the picture on each side; what it leaves out counts negative. */
export function beyond(frame, picture) {
  return {
    left: -frame.x,
    right: frame.x + frame.width - picture.width,
    top: -frame.y,
    bottom: frame.y + frame.height - picture.height,
  };
}

/** Say in words what a frame adds to the picture and cuts off it; "" if neither. */
export function inWords(frame, picture) {
  const sides = Object.entries(beyond(frame, picture));
  const list = (found) => found.map(([name, pixels]) => `${Math.abs(pixels)} ${PLACES[name]}`).join(", ");
  const added = list(sides.filter(([, pixels]) => pixels > 0));
  const lost = list(sides.filter(([, pixels]) => pixels < 0));
  return [added && `adds ${added}`, lost && `cuts off ${lost}`].filter(Boolean).join("; ");
}

const PLACES = { left: "on the left", right: "on the right", top: "at the top", bottom: "at the bottom" };
