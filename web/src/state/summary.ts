// A summary of a conversation that no longer fits, written by its model in a temporary conversation of its own. Long
// messages are shortened until all of it fits.
import { api, Failure, given, newId, type NewRun, type Options, type RunEvent } from "../api/client";
import { follow } from "../api/stream";
import { words } from "../texts/texts.svelte";
import type { Turn } from "./turn.svelte";

const kCuts = [8000, 4000, 2000, 1000, 500, 250, 120];  // characters of each message
const kTokens = 400;

export async function summarise(path: Turn[], options: Options, signal: AbortSignal): Promise<string> {
  const wish = await fitting(path, { ...options, thinking: false, max_tokens: kTokens });
  const conversation = wish.conversation.id;
  const drop = () => void given(api.DELETE("/app/conversations/{id}", { params: { path: { id: conversation } } })).catch(() => {});
  signal.addEventListener("abort", drop);
  try {
    await given(api.POST("/app/runs", { body: wish }));
    const { text, failure } = await read(wish.id, signal);
    signal.throwIfAborted();
    if (failure) throw failure;
    return text.trim();
  } finally {
    signal.removeEventListener("abort", drop);
    drop();
  }
}

async function fitting(path: Turn[], options: Options): Promise<NewRun> {
  for (let turns = path; ; turns = turns.slice(Math.ceil(turns.length / 2))) {
    for (const cut of kCuts) {
      const wish: NewRun = { id: newId(), answer_id: newId(), conversation: { id: newId(), temporary: true, options },
        parent_id: null, message: { id: newId(), content: `${words.t.summary.wish}\n\n${transcript(turns, cut)}` }, leave_out: 0 };
      if ((await given(api.POST("/app/runs/check", { body: wish }))).fits) return wish;
    }
    if (turns.length <= 1) throw new Failure("context_full", "not even a shortened text of the conversation fits");
  }
}

function transcript(turns: Turn[], cut: number): string {
  const short = (text: string) => (text.length <= cut ? text : `${text.slice(0, cut * 0.7)} … ${text.slice(-cut * 0.3)}`);
  return turns.map((turn) => `${turn.role === "user" ? words.t.you : words.t.answer}: ${short(turn.content)}`).join("\n\n");
}

async function read(run: string, signal: AbortSignal): Promise<{ text: string; failure: Failure | null }> {
  let text = "";
  let failure: Failure | null = null;
  await follow({
    url: (position) => `/app/runs/${run}/events?from=${position}`,
    position: "0",
    signal,
    gone: () => (failure = new Failure("not_found", "the summary's run is gone")),
    take: ({ data }) => {
      const event = data as RunEvent;
      if (event.type === "content") text += event.text;
      if (event.type !== "end") return false;
      if (event.status === "failed") failure = new Failure(event.error?.code ?? "other", event.error?.message ?? "");
      return true;
    },
  });
  return { text, failure };
}
