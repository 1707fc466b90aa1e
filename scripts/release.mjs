// Packs a release from the addons of all platforms: `node scripts/release.mjs <folder with the .node files>` leaves the packages
// of the platforms and the package itself in packed/. It writes to package.json and npm/: for a checkout that is thrown away.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { root } from './stamps.mjs';

const [artifacts] = process.argv.slice(2);
if (!artifacts) throw new Error('usage: node scripts/release.mjs <folder with the .node files>');

const napi = join(root, 'node_modules/@napi-rs/cli/dist/cli.js');
const packed = join(root, 'packed');
const folders = readdirSync(join(root, 'npm')).map((name) => join(root, 'npm', name));
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

const { GITHUB_REF_TYPE, GITHUB_REF_NAME, GITHUB_REPOSITORY, GITHUB_SERVER_URL } = process.env;
if (GITHUB_REF_TYPE === 'tag' && GITHUB_REF_NAME !== `v${version}`) {
  throw new Error(`the tag ${GITHUB_REF_NAME} is not that of version ${version}`);
}

run(process.execPath, [napi, 'artifacts', '--output-dir', resolve(artifacts)]);
// npm compares the repository with where the provenance says that it was built.
if (GITHUB_REPOSITORY) {
  for (const folder of [root, ...folders]) {
    edit(join(folder, 'package.json'), { repository: `git+${GITHUB_SERVER_URL}/${GITHUB_REPOSITORY}.git` });
  }
}
// Writes the platforms' packages to optionalDependencies.
run(process.execPath, [napi, 'pre-publish', '--tag-style', 'npm', '--no-gh-release', '--skip-optional-publish']);
run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc')]);
mkdirSync(packed, { recursive: true });
for (const folder of [...folders, root]) run('npm', ['pack', '--ignore-scripts', '--pack-destination', packed], folder);

function edit(file, fields) {
  const content = JSON.parse(readFileSync(file, 'utf8'));
  writeFileSync(file, `${JSON.stringify({ ...content, ...fields }, null, 2)}\n`);
}

function run(command, args, cwd = root) {
  const { status, error } = spawnSync(command, args, { cwd, stdio: 'inherit', shell: process.platform === 'win32' });
  if (error) throw error;
  if (status !== 0) throw new Error(`"${command} ${args.join(' ')}" failed, see above.`);
}
