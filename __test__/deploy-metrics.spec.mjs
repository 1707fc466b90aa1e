// What deploy/ asks Prometheus for must be what the exporter tells.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { test } from 'node:test';
import { ROOT } from './helpers/processes.mjs';

const { FIGURES } = createRequire(import.meta.url)('../dist/cli/metrics.js');
const figures = new Map(FIGURES.map((figure) => [figure.name, figure]));
const read = (path) => readFileSync(join(ROOT, path), 'utf8');

const dashboard = JSON.parse(read('deploy/grafana/mqtt-p2p.json'));
const queries = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
const rules = [...read('deploy/prometheus/alerts.yml').matchAll(/^ +expr: (.*)$/gm)].map(([, expr]) => expr);

/** The metrics of an expression, each with the labels that are asked of it. */
function metricsOf(expr) {
  const uses = [...expr.matchAll(/\b(mqtt_p2p_\w+)(?:\{([^}]*)\})?/g)];
  return uses.map(([, name, labels = '']) => ({
    name,
    labels: [...labels.matchAll(/(\w+)=~?"/g)].map(([, label]) => label),
  }));
}

/** Labels by which an expression groups. */
function groupsOf(expr) {
  return [...expr.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, labels]) =>
    labels.split(',').map((label) => label.trim()),
  );
}

for (const [what, expressions] of [
  ['the dashboard', queries],
  ['the alerts', rules],
]) {
  test(`every metric and label of ${what} is one that the exporter has`, () => {
    assert.ok(expressions.length > 8);
    for (const expr of expressions) {
      for (const { name, labels } of metricsOf(expr)) {
        const series = /^(.*)_(bucket|sum|count)$/.exec(name);
        const figure = figures.get(name) ?? (series && figures.get(series[1]));
        assert.ok(figure, `${name} in ${expr}`);
        assert.equal(figure.type === 'histogram', !figures.has(name) || figure.type === 'histogram');
        const known = [...figure.labels, 'instance', 'job', ...(figure.type === 'histogram' ? ['le'] : [])];
        for (const label of [...labels, ...groupsOf(expr)])
          assert.ok(known.includes(label), `${label} of ${name} in ${expr}`);
        // A counter is looked at by its rate.
        if (figure.type === 'counter') assert.match(expr, /rate\(|increase\(/, expr);
      }
    }
  });
}

test('names follow the conventions of Prometheus', () => {
  for (const { name, type, help } of FIGURES) {
    assert.match(name, /^mqtt_p2p_[a-z_]+$/);
    assert.equal(name.endsWith('_total'), type === 'counter', name);
    if (type === 'histogram') assert.match(name, /_seconds$/);
    assert.ok(help.endsWith('.'), name);
  }
});

test('every figure is in docs/cli.md', () => {
  const docs = read('docs/cli.md');
  for (const { name, labels } of FIGURES) {
    assert.ok(docs.includes(`\`${name}\``), name);
    for (const label of labels) assert.ok(docs.includes(`\`${label}\``), label);
  }
});

const promtool = spawnSync('promtool', ['--version']).error ? 'promtool is not installed' : false;
test('promtool accepts the rules', { skip: promtool }, () => {
  const { status, stderr } = spawnSync('promtool', ['check', 'rules', 'deploy/prometheus/alerts.yml'], { cwd: ROOT });
  assert.equal(status, 0, String(stderr));
});
