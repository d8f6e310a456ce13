import { formatBytes } from "@mask-llava/runtime";
import { Presets, SingleBar } from "cli-progress";
import type { TextSink } from "./io.ts";

/** Takes bytes done and bytes in all. */
export type OnProgress = (done: number, total: number) => void;

function isStream(sink: TextSink): sink is NodeJS.WriteStream {
  return sink.isTTY === true && "cursorTo" in sink;
}

/** Runs `work` with a bar of bytes on a terminal; elsewhere nothing is shown. The bar is gone when the work has ended. */
export async function withProgress<T>(
  sink: TextSink,
  what: string,
  work: (onProgress: OnProgress) => Promise<T>,
): Promise<T> {
  if (!isStream(sink)) return work(() => {});
  const bar = new SingleBar(
    {
      format: `${what} {bar} {percentage}% of {total}`,
      stream: sink,
      clearOnComplete: true,
      hideCursor: true,
      // A signal ends the work, and so the bar: the bar needs no handlers of its own.
      gracefulExit: false,
      formatValue: (value, _, type) => (type === "total" ? formatBytes(value) : String(value)),
    },
    Presets.shades_classic,
  );
  let started = false;
  try {
    return await work((done, total) => {
      if (!started) bar.start(total, 0);
      started = true;
      bar.setTotal(total);
      bar.update(done);
    });
  } finally {
    if (started) bar.stop();
  }
}
