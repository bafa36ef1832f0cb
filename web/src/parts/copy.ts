import { app, failureText } from "../state/app.svelte";
import { Failure } from "../api/client";

// Copies, and says for a moment that it did.
export async function copyText(text: string, say: (copied: boolean) => void): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    say(true);
    setTimeout(() => say(false), 1500);
  } catch (error) {
    app.toast(failureText(new Failure("clipboard", error instanceof Error ? error.message : String(error))));
  }
}
