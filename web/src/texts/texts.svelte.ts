// The page's words in the person's language. One language is loaded, and another only when it is chosen.
import { en, type Texts } from "./en";

export type Language = "ko" | "en" | "zh";
const sources: Record<Language, () => Promise<Texts>> = {
  en: async () => en,
  ko: async () => (await import("./ko")).ko,
  zh: async () => (await import("./zh")).zh,
};

class Words {
  language = $state<Language>("en");
  t = $state.raw<Texts>(en);

  async use(wanted: "auto" | Language): Promise<void> {
    const language = wanted === "auto" ? ofBrowser() : wanted;
    const texts = await sources[language]();
    this.language = language;
    this.t = texts;
    document.documentElement.lang = language === "zh" ? "zh-Hans" : language;
  }
}

function ofBrowser(): Language {
  const known = navigator.languages.map((name) => name.slice(0, 2)).find((name) => name in sources);
  return (known as Language | undefined) ?? "en";
}

export const words = new Words();

export function bytesText(bytes: number): string {
  const [size, unit] = bytes >= 1e9 ? [bytes / 1e9, "GB"] : [bytes / 1e6, "MB"];
  return `${size.toLocaleString(words.language, { maximumFractionDigits: size < 10 ? 1 : 0 })} ${unit}`;
}

const formats = new Map<string, Intl.NumberFormat>();  // making one costs more than a frame may

export function numberText(value: number, digits = 0): string {
  const key = `${words.language}${digits}`;
  let format = formats.get(key);
  if (!format) formats.set(key, (format = new Intl.NumberFormat(words.language, { maximumFractionDigits: digits })));
  return format.format(value);
}

export function durationText(seconds: number): string {
  const minutes = Math.round(seconds / 60);
  const [value, unit] = seconds < 60 ? [Math.ceil(seconds), "second"] : minutes < 90 ? [minutes, "minute"] : [Math.round(minutes / 60), "hour"];
  return new Intl.NumberFormat(words.language, { style: "unit", unit, unitDisplay: "short" }).format(value);
}
