import assert from 'node:assert/strict';

/**
 * Whether a machine meets the limits of `mqtt-p2p test` is no test of ours; that verdict and exit status are those of its table
 * is.
 */
export function assertVerdict({ code, stdout, stderr }) {
  const [verdict] = /^(passed|missed)$/m.exec(stdout) ?? [];
  const missed = /^ *✗/m.test(stdout);
  assert.equal(verdict, missed ? 'missed' : 'passed', stdout + stderr);
  assert.equal(code, missed ? 1 : 0, stdout + stderr);
}
