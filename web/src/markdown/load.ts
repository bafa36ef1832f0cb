// Markdown is loaded with the first text to show, or when the page has nothing else to do. A server that is away is asked
// again: text that is there already waits for it.
import type * as ViewModule from "./view";

const kRetry = 2_000;
let loading: Promise<typeof ViewModule> | null = null;
let loaded: typeof ViewModule | null = null;

export function loadMarkdown(): Promise<typeof ViewModule> {
  return (loading ??= load());
}

async function load(): Promise<typeof ViewModule> {
  for (;;) {
    try {
      return (loaded = await import("./view"));
    } catch {
      await new Promise((resolve) => setTimeout(resolve, kRetry));
    }
  }
}

export function markdownNow(): typeof ViewModule | null {
  return loaded;
}
