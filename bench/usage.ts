import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** What processes use, from /proc. Elsewhere than on Linux all of it is 0. */

/** The kernel counts CPU time in hundredths of a second on every machine that Linux supports today. */
const ticksPerSecond = 100;

/** User and system time of one process, in seconds. */
export function cpuSeconds(pid: number): number {
  const stat = statOf(pid);
  return stat === undefined ? 0 : stat.own / ticksPerSecond;
}

/** Of a program that forks, as PostgreSQL does: itself, its children, and those that have ended. */
export function familyCpuSeconds(parent: number): number {
  const self = statOf(parent);
  if (self === undefined) return 0;
  const children = processIds().map(statOf);
  const living = children.reduce((sum, child) => (child?.parent === parent ? sum + child.own : sum), 0);
  return (self.own + self.ended + living) / ticksPerSecond;
}

/** Resident memory now and at its highest, in MiB. */
export function residentMib(pid: number): { readonly now: number; readonly peak: number } {
  const status = readOrEmpty(`/proc/${pid}/status`);
  const mib = (name: string): number =>
    Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1] ?? 0) / 1024;
  return { now: mib("VmRSS"), peak: mib("VmHWM") };
}

/** The main process of the cluster in `folder`. */
export function postmasterId(folder: string): number {
  return Number(readFileSync(join(folder, "data", "postmaster.pid"), "utf8").split("\n")[0]);
}

interface Stat {
  readonly parent: number;
  readonly own: number;
  readonly ended: number;
}

function statOf(pid: number): Stat | undefined {
  const text = readOrEmpty(`/proc/${pid}/stat`);
  if (text === "") return undefined;
  // The program's name stands in parentheses and may hold blanks.
  const fields = text
    .slice(text.lastIndexOf(")") + 2)
    .split(" ")
    .map(Number);
  const [parent = 0, user = 0, system = 0] = [fields[1], fields[11], fields[12]];
  return { parent, own: user + system, ended: (fields[13] ?? 0) + (fields[14] ?? 0) };
}

function processIds(): number[] {
  try {
    return readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .map(Number);
  } catch {
    return [];
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
