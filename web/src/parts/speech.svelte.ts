// Reading aloud and dictation, only where the browser does them on this device: voices that are local, and recognition
// that says it works here. Else nothing of it is offered.
import { words } from "../texts/texts.svelte";

// ---- Reading aloud

class Reader {
  voices = $state.raw<SpeechSynthesisVoice[]>([]);
  reading = $state<string | null>(null);  // the answer that is read

  constructor() {
    if (!("speechSynthesis" in window)) return;
    const look = () => (this.voices = speechSynthesis.getVoices().filter((voice) => voice.localService));
    look();
    speechSynthesis.addEventListener("voiceschanged", look);
    addEventListener("pagehide", () => speechSynthesis.cancel());
  }

  voiceFor(text: string): SpeechSynthesisVoice | undefined {
    const language = /[\uac00-\ud7af]/.test(text) ? "ko" : /[\u3040-\u30ff]/.test(text) ? "ja" : /[\u4e00-\u9fff]/.test(text) ? "zh"
      : words.language === "en" || /^[\p{ASCII}\p{P}]*$/u.test(text) ? "en" : words.language;
    return this.voices.find((voice) => voice.lang.toLowerCase().startsWith(language));
  }

  read(id: string, text: string): void {
    this.stop();
    const voice = this.voiceFor(text);
    const parts = sentences(text);
    if (!voice || parts.length === 0) return;
    this.reading = id;
    for (const [index, part] of parts.entries()) {
      const utterance = new SpeechSynthesisUtterance(part);
      utterance.voice = voice;
      utterance.lang = voice.lang;
      const over = () => {
        if (this.reading === id && index === parts.length - 1) this.reading = null;
      };
      utterance.addEventListener("end", over);
      utterance.addEventListener("error", over);
      speechSynthesis.speak(utterance);
    }
  }

  stop(): void {
    this.reading = null;
    if ("speechSynthesis" in window) speechSynthesis.cancel();
  }
}

export const reader = new Reader();

// Markdown as one would say it: no code, no marks, formulae by their own source.
export function spoken(markdown: string): string {
  return markdown.replace(/^ {0,3}(```|~~~)[^]*?(^ {0,3}\1|$(?![^]))/gm, "\n").replace(/^[ \t]*\|?[-:| ]+\|[-:| ]*$/gm, "").replace(/^\s{0,3}(#{1,6}|>|[-*+]|\d+\.)\s+/gm, "")
    .replace(/!?\[([^\]]*)\]\([^)]*\)/g, "$1").replace(/https?:\/\/\S+/g, "").replace(/[*_`~|]+/g, " ").replace(/\$\$?|\\[()[\]]/g, " ").trim();
}

// Short enough that no engine gives up in the middle.
function sentences(text: string): string[] {
  return text.split(/(?<=[.!?。！？])\s+|(?<=[。！？])|\n+/).map((part) => part.trim()).filter((part) => /[\p{L}\p{N}]/u.test(part));
}

// ---- Dictation

interface Recognition extends EventTarget {
  lang: string; continuous: boolean; interimResults: boolean; processLocally: boolean;
  start(): void; stop(): void; abort(): void;
}
interface RecognitionKind { new (): Recognition; available?: (wish: { langs: string[]; processLocally: boolean }) => Promise<string> }
interface Recognized extends Event { resultIndex: number; results: ArrayLike<ArrayLike<{ transcript: string }> & { isFinal: boolean }> }

const kLanguages = { en: "en-US", ko: "ko-KR", zh: "zh-CN" } as const;

class Dictation {
  available = $state(false);
  listening = $state(false);
  #recognition: Recognition | null = null;

  // Asks again for each language.
  async look(language: keyof typeof kLanguages): Promise<void> {
    const kind = (window as { SpeechRecognition?: RecognitionKind }).SpeechRecognition;
    this.available = false;
    if (!kind?.available || !("processLocally" in kind.prototype)) return;
    this.available = await kind.available({ langs: [kLanguages[language]], processLocally: true }).then((state) => state === "available", () => false);
  }

  // `heard` gets what was said up to now in this turn of listening, again and again until it is final.
  start(heard: (text: string) => void, failed: () => void): void {
    const kind = (window as unknown as { SpeechRecognition: RecognitionKind }).SpeechRecognition;
    const recognition = (this.#recognition = new kind());
    Object.assign(recognition, { lang: kLanguages[words.language], continuous: true, interimResults: true, processLocally: true });
    recognition.addEventListener("result", (event) => {
      heard(Array.from((event as Recognized).results, (result) => result[0]!.transcript).join(""));
    });
    recognition.addEventListener("error", (event) => {
      if (!["no-speech", "aborted"].includes((event as Event & { error: string }).error)) failed();
    });
    recognition.addEventListener("end", () => {
      if (this.#recognition === recognition) this.listening = false;
    });
    this.listening = true;
    recognition.start();
  }

  stop(): void {
    this.listening = false;
    this.#recognition?.stop();
  }
}

export const dictation = new Dictation();
