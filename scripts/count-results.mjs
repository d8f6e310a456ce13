/** Counts the tests in the report of vitest's JSON reporter. A file that fails without a failed test counts as one. */
export function countResults(report) {
  let passed = 0;
  let failed = 0;
  for (const file of report.testResults) {
    const count = (status) => file.assertionResults.filter((test) => test.status === status).length;
    passed += count("passed");
    failed += file.status === "failed" ? Math.max(1, count("failed")) : count("failed");
  }
  return { passed, failed };
}
