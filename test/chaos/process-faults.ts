import { setTimeout as pause } from "node:timers/promises";
import type { FaultKind } from "./fault-kinds.ts";
import { signalProcess, type MemberSlot } from "./member-slot.ts";
import type { PlannedFault } from "./plan.ts";
import { leaseMs, memberCount, type Stage } from "./stage.ts";

const member = (fault: PlannedFault): readonly string[] => [`member ${fault.member}`];
const all = Array.from({ length: memberCount }, (_, index) => `member ${index}`);

/** A member whose name another process took must end by itself within this time of waking. */
const replacedMs = 20_000;

function slotOf(stage: Stage, fault: PlannedFault): MemberSlot {
  const slot = stage.slots[fault.member];
  if (slot === undefined) throw new Error(`there is no member ${fault.member}`);
  return slot;
}

/** `rename`: the process that comes next has a name of its own, as a new container has. */
function ended(how: "kill" | "stop", rename: boolean): FaultKind {
  return {
    holdMs: [0, 1_500],
    claims: member,
    run: async (stage, fault, hold) => {
      const slot = slotOf(stage, fault);
      await slot[how]();
      await hold();
      if (rename) slot.rename();
      await slot.start();
    },
  };
}

function paused(shortest: number, longest: number): FaultKind {
  return {
    holdMs: [shortest, longest],
    claims: member,
    run: async (stage, fault, hold) => {
      const slot = slotOf(stage, fault);
      slot.pause();
      await hold();
      slot.resume();
    },
  };
}

export const processFaults: Readonly<Record<string, FaultKind>> = {
  "member killed": ended("kill", false),
  "member killed, another name comes": ended("kill", true),
  "member stopped": ended("stop", false),
  "member stopped, another name comes": ended("stop", true),
  "member paused beyond its lease": paused(leaseMs + 500, leaseMs + 2_000),
  "member paused briefly": paused(50, 1_200),
  "all members killed": {
    holdMs: [0, 1_000],
    claims: () => all,
    run: async ({ slots }, _fault, hold) => {
      const each = slots.slice(0, memberCount);
      await Promise.all(each.map((slot) => slot.kill()));
      await hold();
      for (const slot of each) await slot.start();
    },
  },
  "member joins and leaves": {
    holdMs: [1_000, 5_000],
    claims: () => [`member ${memberCount}`],
    run: async ({ slots }, { roll }, hold) => {
      const slot = slots[memberCount];
      if (slot === undefined) return;
      slot.rename();
      await slot.start();
      await hold();
      if (roll < 0.3) await slot.kill();
      else await slot.stop();
    },
  },
  "member paused, its name taken": {
    holdMs: [500, leaseMs + 1_500],
    claims: (fault) => [...member(fault), `redis link ${fault.member}`, `database link ${fault.member}`],
    run: async (stage, fault, hold) => {
      const slot = slotOf(stage, fault);
      // One that is paused before it registers is the later of the two, and then the other one ends.
      if (!(await slot.isReady())) return;
      slot.pause();
      const zombie = slot.takeOut();
      await slot.start();
      await hold();
      signalProcess(zombie, "SIGCONT");
      const late = new AbortController();
      const exit = await Promise.race([
        zombie?.process.exited,
        pause(replacedMs, undefined, { signal: late.signal }).catch(() => undefined),
      ]);
      late.abort();
      if (exit === undefined) {
        stage.findings.note("a member whose name was taken went on", slot.name);
        await zombie?.kill();
      }
    },
  },
};
