// Proves how the tests of the Python applications are counted.
// Does not prove that they run: every `./platform test` shows it.
import { afterEach, describe, expect, it, vi } from "vitest";
import { countsOf, pythonTests } from "../../cli/python.ts";

const junit = (attributes: string) =>
  `<?xml version="1.0"?><testsuites name="pytest tests"><testsuite name="pytest" ${attributes} time="0.1"></testsuite></testsuites>`;

describe("pytest's result", () => {
  it.each([
    ["passes and skips", junit('errors="0" failures="0" skipped="1" tests="5"'), true, [4, 0, 1]],
    ["fails", junit('errors="1" failures="2" skipped="1" tests="5"'), false, [1, 3, 1]],
    ["finds no test", junit('errors="0" failures="0" skipped="0" tests="0"'), false, [0, 1, 0]],
    ["ends before it could say", "", false, [0, 1, 0]],
  ] as const)("counts a run that %s", (_, text, succeeded, [passed, broken, skipped]) => {
    expect(countsOf(text, succeeded)).toEqual({ passed, broken, skipped });
  });
});

describe("a machine without Python", () => {
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.restoreAllMocks();
  });

  it("skips the tests, and reports in one line what is missing", async () => {
    const said = vi.spyOn(console, "log").mockImplementation(() => {});
    vi.stubEnv("PATH", "/nowhere");
    expect(await pythonTests("/apps/polls")).toEqual({ passed: 0, broken: 0, skipped: 1 });
    expect(said.mock.calls).toEqual([
      ["skipped: the tests of polls need Python 3 with its venv module (Debian: python3-venv)"],
    ]);
  });
});
