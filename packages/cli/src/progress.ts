import { formatBytes } from "@mask-llava/runtime";
import { Presets, SingleBar } from "cli-progress";
import type { TextSink } from "./io.ts";

/** Takes how much is done (bytes, where not said otherwise) and how much there is in all. */
export type OnProgress = (done: number, total: number) => void;

function isStream(sink: TextSink): sink is NodeJS.WriteStream {
  return sink.isTTY === true && "cursorTo" in sink;
}

/**
 * Runs `work` with a bar on a terminal; elsewhere nothing is shown. The bar is gone when the work has ended. `formatTotal`
 * says how much there is in all.
 */
export async function withProgress<T>(
  sink: TextSink,
  what: string,
  work: (onProgress: OnProgress) => Promise<T>,
  formatTotal: (total: number) => string = formatBytes,
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
      formatValue: (value, _, type) => (type === "total" ? formatTotal(value) : String(value)),
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
