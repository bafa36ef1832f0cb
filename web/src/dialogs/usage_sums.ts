// Rows of the ledger as sums and as the bars of a plot. Knows no page.
import type { UsageDay } from "../api/client";

export type Measure = "tokens" | "cost";
export interface Sum { runs: number; read: number; reused: number; written: number; cost: number }
export interface DaySum extends Sum { date: string }
type Kind = "written" | "read" | "reused" | "cost";
export interface Bar { parts: { kind: Kind; y: number; height: number }[] }

const kDay = 86_400_000;

export function sumOf(days: UsageDay[]): Sum {
  const sum: Sum = { runs: 0, read: 0, reused: 0, written: 0, cost: 0 };
  for (const day of days) {
    sum.runs += day.runs;
    sum.read += day.prompt_tokens - day.cached_tokens;
    sum.reused += day.cached_tokens;
    sum.written += day.output_tokens;
    sum.cost += day.cost;
  }
  return sum;
}

// One sum for each of `count` days from `from` on, those without any too.
export function byDay(days: UsageDay[], from: string, count: number): DaySum[] {
  return Array.from({ length: count }, (_, i) => {
    const date = new Date(Date.parse(from) + i * kDay).toISOString().slice(0, 10);
    return { date, ...sumOf(days.filter((day) => day.date === date)) };
  });
}

// Stacked from the ground up, in a space of 100 whose `top` is a round number.
export function bars(days: DaySum[], measure: Measure): { top: number; bars: Bar[] } {
  const kinds: Kind[] = measure === "cost" ? ["cost"] : ["written", "read", "reused"];
  const height = (day: DaySum) => kinds.reduce((sum, kind) => sum + day[kind], 0);
  const top = roundUp(Math.max(...days.map(height), 0));
  return {
    top,
    bars: days.map((day) => {
      let y = 100;
      return { parts: kinds.map((kind) => {
        const part = (day[kind] / top) * 100;
        return { kind, y: (y -= part), height: part };
      }).filter((part) => part.height > 0) };
    }),
  };
}

function roundUp(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 6, 8, 10].find((step) => step * power >= value)! * power;
}
