import { expect, test } from "vitest";
import { parseSettings } from "./settings.ts";

test("a grid of prompts that would fill memory with masks is refused", () => {
  expect(parseSettings({ objects: { point_grid: 64 } }).objects.point_grid).toBe(64);
  expect(() => parseSettings({ objects: { point_grid: 20000 } })).toThrow(
    /mask_llava\.json: objects\.point_grid: .*found 20000, expected at most 64/,
  );
});
