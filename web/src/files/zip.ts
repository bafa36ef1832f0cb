// The parts of a ZIP archive that an import wants, unpacked by the browser as they are read. Numbers of the archive are
// held against its size; whoever reads a stream bounds it.
import { Failure } from "../api/client";

const kEnd = 0x06054b50, kEnd64 = 0x06064b50, kEnd64Locator = 0x07064b50, kEntry = 0x02014b50, kLocal = 0x04034b50;
const kMostEnd = 22 + 0xffff;          // with the longest comment
const kMostDirectory = 64 * 1024 * 1024;
const kMore = 0xffffffff;              // the number stands in the longer form

interface Entry { name: string; method: number; packed: number; offset: number }

function broken(what: string): Failure {
  return new Failure("bad_archive", what);
}

async function view(file: Blob, from: number, to: number): Promise<DataView> {
  if (from < 0 || to > file.size || from > to) throw broken("a number points beyond its end");
  return new DataView(await file.slice(from, to).arrayBuffer());
}

const long = (data: DataView, at: number) => Number(data.getBigUint64(at, true));

async function directory(file: Blob): Promise<DataView> {
  const start = Math.max(0, file.size - kMostEnd);
  const tail = await view(file, start, file.size);
  let end = tail.byteLength - 22;
  while (end >= 0 && tail.getUint32(end, true) !== kEnd) end--;
  if (end < 0) throw broken("it has no end");
  let size = tail.getUint32(end + 12, true), offset = tail.getUint32(end + 16, true);
  if ((size === kMore || offset === kMore) && end >= 20 && tail.getUint32(end - 20, true) === kEnd64Locator) {
    const at = long(tail, end - 20 + 8);
    const longer = await view(file, at, at + 56);
    if (longer.getUint32(0, true) !== kEnd64) throw broken("it has no end");
    size = long(longer, 40);
    offset = long(longer, 48);
  }
  if (size > kMostDirectory) throw broken("its list of files is too long");
  return view(file, offset, offset + size);
}

function* entries(data: DataView): Generator<Entry> {
  for (let at = 0; at + 46 <= data.byteLength && data.getUint32(at, true) === kEntry;) {
    const name = data.getUint16(at + 28, true), extra = data.getUint16(at + 30, true), comment = data.getUint16(at + 32, true);
    const next = at + 46 + name + extra + comment;
    if (next > data.byteLength) throw broken("its list of files is cut off");
    const entry: Entry = {
      name: new TextDecoder().decode(new Uint8Array(data.buffer, data.byteOffset + at + 46, name)),
      method: data.getUint16(at + 10, true), packed: data.getUint32(at + 20, true), offset: data.getUint32(at + 42, true),
    };
    // The longer form, in this order, of those numbers that need it.
    for (let field = at + 46 + name; field + 4 <= at + 46 + name + extra;) {
      const size = data.getUint16(field + 2, true), end = Math.min(field + 4 + size, at + 46 + name + extra);
      if (data.getUint16(field, true) === 1) {
        let value = field + 4 + (data.getUint32(at + 24, true) === kMore ? 8 : 0);
        if (entry.packed === kMore && value + 8 <= end) {
          entry.packed = long(data, value);
          value += 8;
        }
        if (entry.offset === kMore && value + 8 <= end) entry.offset = long(data, value);
      }
      field += 4 + size;
    }
    yield entry;
    at = next;
  }
}

async function open(file: Blob, entry: Entry): Promise<ReadableStream<Uint8Array>> {
  const local = await view(file, entry.offset, entry.offset + 30);
  if (local.getUint32(0, true) !== kLocal) throw broken("a file is not where its list says");
  const from = entry.offset + 30 + local.getUint16(26, true) + local.getUint16(28, true);
  if (from + entry.packed > file.size) throw broken("a file is cut off");
  const bytes = file.slice(from, from + entry.packed).stream();
  if (entry.method === 0) return bytes;
  if (entry.method !== 8) throw broken(`a file is packed by method ${entry.method}`);
  return bytes.pipeThrough(new DecompressionStream("deflate-raw") as ReadableWritablePair<Uint8Array, Uint8Array>);
}

// The archive's files whose names fit, by name, to be read one after the other.
export async function* filesOf(file: Blob, wanted: RegExp): AsyncGenerator<ReadableStream<Uint8Array>> {
  const found = [...entries(await directory(file))].filter((entry) => wanted.test(entry.name)).sort((a, b) => (a.name < b.name ? -1 : 1));
  for (const entry of found) yield await open(file, entry);
}
