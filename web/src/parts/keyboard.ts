// Enter as a person means it: never while a syllable is being composed. Safari ends the composition before it tells of
// the key, marked only by its code 229; and others tell of the end a moment before the same key.
let composedAt = 0;
const kSameKey = 30;  // milliseconds

addEventListener("compositionend", () => (composedAt = performance.now()), true);

export function isComposing(event: KeyboardEvent): boolean {
  return event.isComposing || event.keyCode === 229 || performance.now() - composedAt < kSameKey;
}

export function isEnter(event: KeyboardEvent): boolean {
  return event.key === "Enter" && !isComposing(event);
}
