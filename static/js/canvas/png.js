// The mask as a PNG file, white where it repaints, and back. Grey pixels are opaque, so no byte is lost on the way.

const OPAQUE = 0xff000000; // of a pixel as one number; browsers run on little-endian machines alone
const GREY = 0x010101;

export async function encode(mask) {
  const pixels = new ImageData(mask.width, mask.height);
  const [greys, { bytes }] = [new Uint32Array(pixels.data.buffer), mask];
  for (let at = 0; at < bytes.length; at++) greys[at] = OPAQUE | (bytes[at] * GREY); // a quarter of the stores
  const canvas = document.createElement("canvas");
  canvas.width = mask.width;
  canvas.height = mask.height;
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

/** Fill `mask` with what the file at `url` holds. */
export async function load(mask, url) {
  const image = await picture(url);
  const canvas = document.createElement("canvas");
  canvas.width = mask.width;
  canvas.height = mask.height;
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(image, 0, 0);
  const { data } = pen.getImageData(0, 0, mask.width, mask.height);
  for (let at = 0; at < mask.bytes.length; at++) mask.bytes[at] = data[4 * at];
}

/** The decoded picture at `url`. Raises where there is none. */
export async function picture(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`There is no picture at ${url}.`);
  return createImageBitmap(await response.blob(), { colorSpaceConversion: "none" });
}
