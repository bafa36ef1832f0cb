// The server, typed by the contract (api/app.yaml). Every failure becomes one kind of error with a code.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema";

type Schemas = components["schemas"];
export type Session = Schemas["Session"];
export type Settings = Schemas["Settings"];
export type SettingsPatch = Schemas["SettingsPatch"];
export type Options = Schemas["Options"];
export type Preset = Schemas["Preset"];
export type Conversation = Schemas["Conversation"];
export type Message = Schemas["Message"];
export type Usage = Schemas["Usage"];
export type NewRun = Schemas["NewRun"];
export type Run = Schemas["Run"];
export type RunEvent = Schemas["RunEvent"];
export type Change = Schemas["Change"];
export type Hit = Schemas["Hit"];
export type Fit = Schemas["Fit"];
export type Model = Schemas["Model"];
export type Machine = Schemas["Machine"];
export type FileInfo = Schemas["File"];
export type Source = Schemas["Source"];
export type Draft = Schemas["Draft"];
export type UsageDay = Schemas["UsageDay"];
export type Key = Schemas["Key"];
export type KeyLimits = Schemas["KeyLimits"];
export type Import = Schemas["Import"];

export const api = createClient<paths>({ baseUrl: location.origin });

export class Failure extends Error {
  constructor(readonly code: string, message: string, readonly details: Partial<Schemas["Error"]["error"]> = {}) {
    super(message);
  }
}

interface Outcome<T> { data?: T; error?: unknown; response: Response }

// The body of a good reply. A server that cannot be reached is the code "unreachable".
export async function given<T>(outcome: Promise<Outcome<T>>): Promise<T> {
  let reply: Outcome<T>;
  try {
    reply = await outcome;
  } catch (error) {
    throw new Failure("unreachable", String(error));
  }
  if (reply.response.ok) return reply.data as T;
  const body = (reply.error as Partial<Schemas["Error"]> | undefined)?.error;
  throw new Failure(body?.code ?? `status_${reply.response.status}`,
    body?.message ?? `the server answered with status ${reply.response.status}`, body ?? {});
}

// UUID version 7: ids that sort by time, made here so that a request can be repeated.
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  let time = Date.now();
  for (let i = 5; i >= 0; i--) {
    bytes[i] = time % 256;
    time = Math.floor(time / 256);
  }
  bytes[6] = (bytes[6]! & 0x0f) | 0x70;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
