// Files made for the tests: small PDFs and ZIP archives, byte by byte.
import { crc32, deflateRawSync } from "node:zlib";

// A PDF of one line a page. What is beyond ASCII is written in a font of its own that names Adobe's Korean encoding and
// holds no letters, as documents from Korean offices often do.
export function pdf(lines, { locked = false } = {}) {
  const objects = ["<< /Type /Catalog /Pages 2 0 R >>", "",
    "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    "<< /Type /Font /Subtype /Type0 /BaseFont /HYSMyeongJo-Medium /Encoding /UniKS-UCS2-H /DescendantFonts [5 0 R] >>",
    "<< /Type /Font /Subtype /CIDFontType0 /BaseFont /HYSMyeongJo-Medium /CIDSystemInfo << /Registry (Adobe) /Ordering (Korea1) /Supplement 1 >> /FontDescriptor 6 0 R >>",
    "<< /Type /FontDescriptor /FontName /HYSMyeongJo-Medium /Flags 6 /FontBBox [0 -120 1000 880] /ItalicAngle 0 /Ascent 880 /Descent -120 /CapHeight 800 /StemV 80 >>"];
  const pages = [];
  for (const line of lines) {
    const ascii = /^[\x20-\x7e]*$/.test(line);
    const shown = ascii ? `(${line.replaceAll(/[()\\]/g, "\\$&")})` : `<${[...line].map((c) => c.charCodeAt(0).toString(16).padStart(4, "0")).join("")}>`;
    const stream = line === "" ? "" : `BT /${ascii ? "F1" : "F2"} 14 Tf 72 700 Td ${shown} Tj ET`;
    objects.push(`<< /Length ${stream.length} >>\nstream\n${stream}\nendstream`);
    objects.push(`<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents ${objects.length} 0 R /Resources << /Font << /F1 3 0 R /F2 4 0 R >> >> >>`);
    pages.push(objects.length);
  }
  objects[1] = `<< /Type /Pages /Count ${pages.length} /Kids [${pages.map((page) => `${page} 0 R`).join(" ")}] >>`;
  let text = "%PDF-1.4\n";
  const places = objects.map((object, index) => {
    const at = text.length;
    text += `${index + 1} 0 obj\n${object}\nendobj\n`;
    return at;
  });
  const table = text.length;
  // The keys of a password that nobody knows: 32 bytes each.
  const lock = locked ? `/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <${"11".repeat(32)}> /U <${"22".repeat(32)}> >> /ID [<33> <33>] ` : "";
  text += `xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${places.map((at) => `${String(at).padStart(10, "0")} 00000 n \n`).join("")}`;
  return Buffer.from(`${text}trailer\n<< /Size ${objects.length + 1} /Root 1 0 R ${lock}>>\nstartxref\n${table}\n%%EOF\n`, "latin1");
}

// files: { name: text }. `stored`: as they are.
export function zip(files, { stored = false } = {}) {
  const parts = [], list = [];
  let at = 0, count = 0;
  for (const [name, text] of Object.entries(files)) {
    const content = Buffer.from(text), packed = stored ? content : deflateRawSync(content), title = Buffer.from(name);
    const fields = Buffer.alloc(26);  // version to the length of the extra field: the same in both heads
    fields.writeUInt16LE(20, 0);
    fields.writeUInt16LE(stored ? 0 : 8, 4);
    fields.writeUInt32LE(crc32(content), 10);
    fields.writeUInt32LE(packed.length, 14);
    fields.writeUInt32LE(content.length, 18);
    fields.writeUInt16LE(title.length, 22);
    parts.push(Buffer.from("PK\x03\x04", "latin1"), fields, title, packed);
    const rest = Buffer.alloc(14);
    rest.writeUInt32LE(at, 10);
    list.push(Buffer.from("PK\x01\x02\x14\x00", "latin1"), fields, rest, title);
    at += 30 + title.length + packed.length;
    count += 1;
  }
  const size = list.reduce((sum, { length }) => sum + length, 0), end = Buffer.alloc(18);
  end.writeUInt16LE(count, 4);
  end.writeUInt16LE(count, 6);
  end.writeUInt32LE(size, 8);
  end.writeUInt32LE(at, 12);
  return Buffer.concat([...parts, ...list, Buffer.from("PK\x05\x06", "latin1"), end]);
}
