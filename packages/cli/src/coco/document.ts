import type { Box } from "@mask-llava/models";
import type { PictureOutput } from "../output.ts";
import type { Rle } from "./rle.ts";

/** One object in COCO's format (cocodataset.org, "Data format"), with the score of a result. */
export interface CocoAnnotation {
  readonly id: number;
  readonly image_id: number;
  readonly category_id: number;
  /** x, y, width, height in pixels. */
  readonly bbox: readonly [number, number, number, number];
  /** Pixels: of the mask or, without one, of the box. */
  readonly area: number;
  readonly iscrowd: 0;
  readonly score: number;
  readonly segmentation?: Rle;
}

/** A COCO file of one picture. */
export interface CocoDocument {
  readonly images: readonly [
    { readonly id: number; readonly file_name: string; readonly width: number; readonly height: number },
  ];
  readonly categories: readonly { readonly id: number; readonly name: string }[];
  readonly annotations: readonly CocoAnnotation[];
}

/** What is known of an object. */
export interface CocoObject {
  /** (x0, y0, x1, y1) in pixels. */
  readonly box: Box;
  readonly score: number;
  /** Index of its class. */
  readonly category: number;
  readonly mask?: { readonly rle: Rle; readonly area: number };
}

/** Number of the only picture: COCO counts from 1, as 0 is often taken for none. */
const imageId = 1;

/** (x0, y0, x1, y1) as COCO's (x, y, width, height). */
export function cocoBox([x0, y0, x1, y1]: Box): [number, number, number, number] {
  return [x0, y0, x1 - x0, y1 - y0];
}

/** The objects of a picture as COCO's annotations, numbered from 1. */
export function cocoAnnotations(objects: readonly CocoObject[]): CocoAnnotation[] {
  return objects.map(({ box, score, category, mask }, i) => {
    const bbox = cocoBox(box);
    return {
      id: i + 1,
      image_id: imageId,
      category_id: category,
      bbox,
      area: mask ? mask.area : bbox[2] * bbox[3],
      iscrowd: 0,
      score,
      ...(mask && { segmentation: mask.rle }),
    };
  });
}

/** A file that pycocotools reads. `categories` are the names of the classes by index. */
export function cocoDocument(
  picture: PictureOutput,
  categories: readonly string[],
  annotations: readonly CocoAnnotation[],
): CocoDocument {
  return {
    images: [{ id: imageId, file_name: picture.file, width: picture.width, height: picture.height }],
    categories: categories.map((name, id) => ({ id, name })),
    annotations,
  };
}
