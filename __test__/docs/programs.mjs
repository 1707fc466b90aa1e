import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MQTTIntegrationService } from '@mind-git/mqtt-p2p';
import { certificateAuthority } from '../helpers/certificates.mjs';
import { temporaryFolder } from '../helpers/folders.mjs';
import { runNode } from '../helpers/processes.mjs';
import { compileStrictly } from '../helpers/typescript.mjs';

/** What surrounds the examples of a document, as in the reader's own program. */
const AROUND = {
  'docs/files.md': {
    before: `
      import { startBroker } from '@mind-git/mqtt-p2p';
      const embedded = await startBroker();
      const broker = { host: embedded.host, port: embedded.port };`,
    after: 'await service.disconnect();\nawait embedded.stop();',
    folders: ['vault'],
  },
  'docs/security.md': {
    before: '',
    after: 'await broker.stop();',
    certificate: true,
    replace: [[/port: 8\d+/g, 'port: 0']],
  },
};

/** Compiles the examples of a document as TypeScript, strictly, and runs them: they must end by themselves, well. */
export async function runProgram(t, file, examples) {
  const { before = '', after = '', folders = [], certificate, replace = [] } = AROUND[file] ?? {};
  const top = temporaryFolder(t, 'program');
  const folder = join(top, 'application');
  mkdirSync(folder);
  for (const name of folders) mkdirSync(join(top, name));
  if (certificate) {
    const { cert, key } = certificateAuthority(t).issue('broker');
    writeFileSync(join(folder, 'broker.pem'), cert);
    writeFileSync(join(folder, 'broker.key'), key, { mode: 0o600 });
    writeFileSync(join(folder, 'users.json'), '{ "ada": "one", "ben": "two" }', { mode: 0o600 });
  }
  const ours = replace.reduce((changed, [what, by]) => changed.replace(what, by), examples);
  writeFileSync(join(folder, 'program.ts'), [before, ours, after].join('\n'));
  await compileStrictly(folder, ['program.ts']);
  const { code, stdout, stderr } = await runNode(['program.js'], { cwd: folder });
  assert.equal(code, 0, stdout + stderr);
}

/** What a service says against an example of a configuration. */
export function configurationProblems(example) {
  const text = JSON.stringify(example).replace(/z6Mk…[^"]*/g, 'z6MktULudTtAsAhRegYPiZ6631RV3viv12qd4GQF8z1xB22S');
  const service = new MQTTIntegrationService({ broker: {}, repositories: ['team'] });
  return service.validateConfig({ broker: {}, repositories: ['team'], ...JSON.parse(text) }).errors;
}
