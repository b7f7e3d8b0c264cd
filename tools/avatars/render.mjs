// The bundled avatars, one after the other: raw RGBA pixels into one file, the labels of each into another.
//
// node render.mjs FOLDER [COUNT]    writes FOLDER/pixels.rgba and FOLDER/labels.json

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createAvatar } from "@dicebear/core";
import * as pixelArt from "@dicebear/pixel-art";
import { Resvg } from "@resvg/resvg-js";

const SIZE = 32;
const BACKGROUNDS = ["b6e3f4", "c0aede", "d1d4f9", "ffd5dc", "ffdfbf"]; // an avatar's seed picks one, as it picks all else

function avatar(index) {
  const made = createAvatar(pixelArt, { seed: `gw-${index}`, size: SIZE, backgroundColor: BACKGROUNDS });
  const { svg, extra } = made.toJson();
  const labels = { hair: extra.hairColor, skin: extra.skinColor, glasses: extra.glasses !== undefined };
  return { pixels: new Resvg(svg).render().pixels, labels };
}

const [folder, count = "10000"] = process.argv.slice(2);
if (!folder) {
  console.error("usage: node render.mjs FOLDER [COUNT]");
  process.exit(2);
}
const avatars = Array.from({ length: Number(count) }, (_, index) => avatar(index));
mkdirSync(folder, { recursive: true });
writeFileSync(join(folder, "pixels.rgba"), Buffer.concat(avatars.map((each) => each.pixels)));
writeFileSync(join(folder, "labels.json"), JSON.stringify(avatars.map((each) => each.labels)));
