// The text of a PDF, page by page, taken out by pdf.js in a worker of its own that ends with the file. Loaded with the
// first PDF.
import { getDocument, PDFWorker, version } from "pdfjs-dist/legacy/build/pdf.mjs";
import Worker from "pdfjs-dist/legacy/build/pdf.worker.min.mjs?worker";
import { Failure } from "../api/client";

const kMostPages = 5_000;
const kMostBytes = 200_000_000;

// Pages are parted by form feeds. Fails with a code for a file that is none, that a password locks, that holds no text,
// or whose text is longer than `most` bytes.
export async function pdfText(file: Blob, most: number, signal: AbortSignal): Promise<string> {
  if (file.size > kMostBytes) throw new Failure("too_large", "");
  const port = new Worker();
  const worker = new PDFWorker({ port: port as unknown as null });  // its declaration knows no port
  const stopped = new Promise<never>((_, fail) => {
    const stop = () => fail(new Failure("aborted", ""));
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop);
    port.addEventListener("error", () => fail(new Failure("pdf_broken", "")));
  });
  try {
    return await Promise.race([read(new Uint8Array(await file.arrayBuffer()), worker, most), stopped]);
  } catch (error) {
    if (error instanceof Failure) throw error;
    throw new Failure(error instanceof Error && error.name === "PasswordException" ? "pdf_locked" : "pdf_broken", String(error));
  } finally {
    worker.destroy();
    port.terminate();
  }
}

async function read(data: Uint8Array, worker: PDFWorker, most: number): Promise<string> {
  const pdf = await getDocument({ data, worker, cMapUrl: `${location.origin}/assets/cmaps-${version}/`, cMapPacked: true, useWorkerFetch: true,
    isEvalSupported: false, disableFontFace: true, useSystemFonts: false, useWasm: false, enableXfa: false, verbosity: 0 }).promise;
  if (pdf.numPages > kMostPages) throw new Failure("too_large", "");
  const pages: string[] = [];
  let letters = 0;
  for (let number = 1; number <= pdf.numPages; number++) {
    const page = await pdf.getPage(number);
    const { items } = await page.getTextContent();
    const text = items.map((item) => "str" in item ? item.str + (item.hasEOL ? "\n" : "") : "").join("").replaceAll("\f", " ").replaceAll("\0", "");
    letters += text.length;
    if (letters > most) throw new Failure("too_large", "");
    pages.push(text);
    page.cleanup();
  }
  if (pages.every((text) => text.trim() === "")) throw new Failure("pdf_scanned", "");
  return pages.join("\f");
}
