import { describe, expect, it } from "vitest";
import { replayFromSelection, selectionOf, type ReplayFlags } from "../../src/cli/replay-arguments.ts";
import { showReplay } from "../../src/cli/replay-progress.ts";
import { continuation, replayJson, replayTable, shortcomings } from "../../src/cli/replay-text.ts";
import { runProgram } from "../../src/cli/program.ts";
import { SluiceError } from "../../src/errors/sluice-error.ts";
import type { ReplayResult, StreamReplay } from "../../src/pipeline/replay.ts";
import { fractionDone, parsePlace, trimmedStart } from "../../src/source/entry-range.ts";

describe("a place in a stream", () => {
  it.each([
    ["1718000000000-7", "1718000000000-7", "1718000000000-7"],
    ["1718000000000", "1718000000000-0", "1718000000000-18446744073709551615"],
    ["007-01", "7-1", "7-1"],
    ["0", "0-0", "0-18446744073709551615"],
    ["2024-06-10T06:13:20Z", "1718000000000-0", "1718000000000-18446744073709551615"],
    ["2024-06-10T08:13:20.000+02:00", "1718000000000-0", "1718000000000-18446744073709551615"],
    ["2024-06-10", "1717977600000-0", "1717977600000-18446744073709551615"],
    [
      "18446744073709551615-18446744073709551615",
      "18446744073709551615-18446744073709551615",
      "18446744073709551615-18446744073709551615",
    ],
  ])("%s begins at %s and ends at %s", (text, first, last) => {
    expect(parsePlace(text, "first")).toBe(first);
    expect(parsePlace(text, "last")).toBe(last);
  });

  it.each([
    "",
    "-",
    "$",
    "1-",
    "-1",
    "1-2-3",
    "1.5",
    "18446744073709551616",
    "1-18446744073709551616",
    "yesterday",
    "2024-06-10T06:13:20",
    "2024-13-01",
    "1969-01-01",
  ])("%j is none", (text) => {
    expect(parsePlace(text, "first")).toBeUndefined();
  });
});

describe("the beginning of a range", () => {
  const extent = { firstId: "100-0", lastId: "200-0", maxDeletedId: undefined, added: 10n, length: 4n };

  it("was removed when it lies before what is left, and entries were removed", () => {
    expect(trimmedStart("99-5", extent, true)).toEqual({ firstLeft: "100-0" });
    expect(trimmedStart("100-0", extent, true)).toBeUndefined();
    expect(trimmedStart("1-0", { ...extent, added: 4n }, true)).toBeUndefined();
  });

  it("is missing with its stream, if that was ever there", () => {
    expect(trimmedStart("99-5", undefined, true)).toEqual({ firstLeft: undefined });
    expect(trimmedStart("99-5", undefined, false)).toBeUndefined();
  });

  it("is never missing when all that is left is asked for", () => {
    expect(trimmedStart("0-0", extent, true)).toBeUndefined();
    expect(trimmedStart("0-0", undefined, true)).toBeUndefined();
  });

  it("was removed with everything else, unless it lies behind it", () => {
    const empty = { ...extent, firstId: undefined, length: 0n };
    expect(trimmedStart("200-0", empty, true)).toEqual({ firstLeft: undefined });
    expect(trimmedStart("200-1", empty, true)).toBeUndefined();
  });
});

it("progress goes by the time in the ids", () => {
  const range = { from: "1000-0", to: "2000-0" };
  expect(["1000-5", "1250-0", "2000-0", "5000-0"].map((id) => fractionDone(range, id))).toEqual([
    0, 0.25, 1, 1,
  ]);
  expect(fractionDone({ from: "1000-0", to: "1000-9" }, "1000-1")).toBe(1);
});

const flags: ReplayFlags = { stream: undefined, allStreams: false, from: "5", to: undefined, tables: [] };
const streams = ["cdc.0", "cdc.1"];

describe("what is to be replayed", () => {
  it("is one stream or every one", () => {
    expect(selectionOf({ ...flags, stream: "cdc.1", to: "9-3" })(streams)).toEqual([
      { stream: "cdc.1", from: "5-0", to: "9-3" },
    ]);
    expect(selectionOf({ ...flags, allStreams: true, from: "0" })(streams)).toEqual(
      streams.map((stream) => ({ stream, from: "0-0", to: undefined })),
    );
  });

  it.each<[string, Partial<ReplayFlags>, string]>([
    ["neither a stream nor all", {}, "--all-streams"],
    ["both", { stream: "cdc.1", allStreams: true }, "--all-streams"],
    ["no beginning", { allStreams: true, from: undefined }, "an entry id like"],
    [
      "a beginning that is no id",
      { allStreams: true, from: "monday" },
      'from "monday": expected an entry id like',
    ],
    ["an end that is no id", { allStreams: true, to: "$" }, 'to "$": expected an entry id like'],
    ["an end before the beginning", { allStreams: true, to: "4" }, "before it begins"],
    ["a pattern without a schema", { allStreams: true, tables: ["orders"] }, '"orders" is not schema.table'],
    ["an unknown stream", { stream: "cdc.9" }, "there is no stream cdc.9; there are cdc.0, cdc.1"],
  ])("is refused with %s", (_, own, text) => {
    const select = (): unknown => selectionOf({ ...flags, ...own })(streams);
    expect(select).toThrow(
      expect.objectContaining({ code: "CONFIG_INVALID", message: expect.stringContaining(text) as string }),
    );
  });

  it("is what --replay-from names", () => {
    expect(replayFromSelection("cdc.0=5-1,cdc.1=0")(streams)).toEqual([
      { stream: "cdc.0", from: "5-1", to: undefined },
      { stream: "cdc.1", from: "0-0", to: undefined },
    ]);
  });

  it.each(["", "cdc.0", "=5", "cdc.0=", "cdc.0=x", "cdc.0=1,cdc.0=2", "cdc.9=1"])(
    "is refused with --replay-from %j",
    (text) => {
      expect(() => replayFromSelection(text)(streams)).toThrow(
        expect.objectContaining({ code: "CONFIG_INVALID" }),
      );
    },
  );
});

it.each([
  ["replay", ["replay", "--all-streams", "--from", "monday"]],
  ["replay", ["replay", "--stream", "cdc.0"]],
  ["run", ["run", "--replay-from", "cdc.0"]],
])("%s with bad arguments exits 2 before it connects to anything", async (_, argv) => {
  let err = "";
  const env = { SLUICE_REDIS_URL: "redis://127.0.0.1:1", SLUICE_DATABASE_URL: "postgres://127.0.0.1:1/x" };
  const code = await runProgram(argv, { out: () => undefined, err: (text) => void (err += text), env });
  expect(code).toBe(2);
  expect(err).toContain("error CONFIG_INVALID");
});

const table = {
  ...{ table: "public.docs", inserts: 1, updates: 2, deletes: 3, reads: 4, truncates: 5, folded: 6 },
  ...{ written: 7, stale: 8, partial: 0, unknown: 9 },
};
const replayed: StreamReplay = {
  ...{
    stream: "cdc.0",
    from: "1-0",
    to: "9-0",
    state: "interrupted",
    id: "1",
    lastId: "5-0",
    entries: 5,
    seconds: 1,
  },
  ...{ tables: [table], skipped: {}, leftOut: [], unknownRows: [], gaps: [], error: null },
};
const result: ReplayResult = { state: "interrupted", dryRun: false, streams: [replayed], tables: [table] };

describe("what is said of a replay", () => {
  it("has a line for each table", () => {
    expect(
      replayTable(result)
        .split("\n")
        .map((line) => line.split(/ {2,}/)),
    ).toEqual([
      [
        "TABLE",
        "INSERTS",
        "UPDATES",
        "DELETES",
        "READS",
        "TRUNCATES",
        "FOLDED",
        "WRITTEN",
        "STALE",
        "UNKNOWN",
      ],
      ["public.docs", "1", "2", "3", "4", "5", "6", "7", "8", "9"],
      [""],
    ]);
    expect(replayTable({ ...result, dryRun: true })).toContain("WOULD WRITE");
  });

  it("tells how an interrupted one goes on", () => {
    expect(continuation(replayed)).toBe(
      "cdc.0 is done up to 5-0; go on with --stream cdc.0 --from 5-0 --to 9-0",
    );
    expect(continuation({ ...replayed, state: "done" })).toBeUndefined();
  });

  it("names everything that is not restored", () => {
    const leftOut = {
      code: "TABLE_MISSING",
      table: "public.x",
      firstId: "2-0",
      lastId: "4-0",
      message: "no table",
      remedy: "Make it.",
    } as const;
    const unknown = { table: "public.docs", code: "LARGE_VALUE_UNKNOWN", rows: 2, firstId: "3-0" } as const;
    const said = shortcomings({ ...replayed, leftOut: [{ ...leftOut, entries: 3 }], unknownRows: [unknown] });
    expect(said).toEqual([
      "3 entries of public.x left out of cdc.0 (2-0 … 4-0): TABLE_MISSING: no table. Make it.",
      "2 rows of public.docs: their large values were not in the range; begin earlier or take a new snapshot (LARGE_VALUE_UNKNOWN, first in cdc.0 at 3-0)",
    ]);
  });

  it("shows an error as JSON by its code, place and remedy", () => {
    const error = new SluiceError("REPLAY_TRIMMED", "gone", {
      place: { stream: "cdc.0" },
      cause: new Error("hidden"),
    });
    const json = JSON.parse(replayJson({ ...result, streams: [{ ...replayed, error }] })) as ReplayResult;
    expect(json.streams[0]?.error).toEqual({
      code: "REPLAY_TRIMMED",
      message: "gone",
      place: { stream: "cdc.0" },
      remedy: error.remedy,
    });
  });
});

describe("progress", () => {
  function watched(columns: number | undefined) {
    let text = "";
    const clock = { at: 0 };
    const write = (more: string): void => void (text += more);
    const show = showReplay({ write, columns, now: () => clock.at });
    return { clock, show, text: () => text };
  }
  const place = { stream: "cdc.0", id: "5-0", entries: 500, fraction: 0.456 };

  it("is one line redrawn on a terminal, never wider than it", () => {
    const scene = watched(30);
    scene.show.started({ stream: "cdc.0", from: "1-0", to: "9-0" });
    scene.clock.at = 1_000;
    scene.show.advanced(place);
    scene.show.advanced(place);
    scene.show.clear();
    expect(scene.text()).toBe("cdc.0: from 1-0 to 9-0\n\r\u001b[Kcdc.0  5-0  45 %  500 entries\r\u001b[K");
  });

  it("is a plain line every few seconds without one", () => {
    const scene = watched(undefined);
    scene.show.started({ stream: "cdc.0", from: "1-0", to: "9-0" });
    for (scene.clock.at = 0; scene.clock.at <= 11_000; scene.clock.at += 1_000) scene.show.advanced(place);
    expect(scene.text().split("\n")).toEqual([
      "cdc.0: from 1-0 to 9-0",
      "cdc.0  5-0  45 %  500 entries  100/s",
      "cdc.0  5-0  45 %  500 entries  50/s",
      "",
    ]);
  });

  it("says why it waits, and not over and over", () => {
    const scene = watched(undefined);
    for (scene.clock.at = 0; scene.clock.at < 9_000; scene.clock.at += 100)
      scene.show.retried(new SluiceError("DATABASE_BUSY", "a deadlock"));
    expect(scene.text()).toBe("trying again: DATABASE_BUSY: a deadlock\n".repeat(2));
  });
});
