// Pictures that are larger than the server takes, such as photographs of 24 million pixels, made smaller before they are
// sent. One that says that a model made it is left as it is: here that mark would be lost.

const MAX_BYTES = 20 * 2 ** 20; // as the server takes
const MAX_PIXELS = 16_800_000; // as the server decodes
const MAX_SIDE = 2048; // pixels, which the server would make of it
const MARK = "lgorithmicMedia"; // of IPTC's terms for pictures that a model made
const STILL = new Set(["image/jpeg", "image/png", "image/webp"]);

/** The file itself, or a PNG of it that is not too large. */
export async function shrunk(file) {
  if (!STILL.has(file.type)) return file;
  const image = await createImageBitmap(file).catch(() => null); // upright; null for what is none
  const isTaken = !image || (file.size <= MAX_BYTES && image.width * image.height <= MAX_PIXELS);
  if (isTaken || (await isMarked(file))) return file;
  const scale = Math.min(1, MAX_SIDE / Math.max(image.width, image.height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.floor(image.width * scale));
  canvas.height = Math.max(1, Math.floor(image.height * scale));
  const pen = canvas.getContext("2d");
  pen.imageSmoothingQuality = "high";
  pen.drawImage(image, 0, 0, canvas.width, canvas.height);
  const png = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  return png ? new File([png], file.name, { type: "image/png" }) : file;
}

async function isMarked(file) {
  const bytes = new Uint8Array(await file.arrayBuffer());
  return new TextDecoder("latin1").decode(bytes).includes(MARK);
}
