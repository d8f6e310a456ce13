import { expect, test } from "vitest";
import { RecentResults } from "./content-hash.ts";

/** Results that are their own sizes in bytes, and how often each key was made. */
function results(limits: { most: number; bytes: number }) {
  const made: string[] = [];
  const recent = new RecentResults<number>(limits, (size) => size);
  const get = (key: string, size = 1) =>
    recent.get(key, async () => {
      made.push(key);
      return size;
    });
  return { made, recent, get };
}

test("the last few are remembered, by number", async () => {
  const { made, get } = results({ most: 2, bytes: 100 });
  for (const key of ["a", "b", "a", "c", "a", "b"]) await get(key);
  expect(made.join("")).toBe("abcb"); // b was the oldest when c came
});

test("and by bytes, the latest whatever its size", async () => {
  const { made, get } = results({ most: 8, bytes: 100 });
  await get("a", 40);
  await get("b", 60);
  await get("a");
  await get("c", 30); // b goes: a was asked for since
  await get("a");
  await get("c");
  expect(made.join("")).toBe("abc");
  await get("b", 60);
  expect(made.join("")).toBe("abcb");
  await get("d", 1000);
  expect(await get("d")).toBe(1000);
  expect(made.join("")).toBe("abcbd");
  await get("c", 30);
  await get("d", 1000);
  expect(made.join("")).toBe("abcbdcd");
});

test("what failed is made again", async () => {
  const { made, recent, get } = results({ most: 2, bytes: 100 });
  await expect(recent.get("a", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
  expect(await get("a", 5)).toBe(5);
  expect(made).toEqual(["a"]);
});
