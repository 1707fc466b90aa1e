// What deploy/ says a container, Kubernetes or systemd should do is done here without them: the same command lines, with
// the same environment, on the same files; only addresses, ports and paths are the test's own.
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { load, loadAll } from 'js-yaml';
import { carryOut, inContext, instructionsOf } from './deploy/dockerfile.mjs';
import { embedded } from './helpers/broker.mjs';
import { python, tool, withoutModule, withoutTool } from './helpers/checkers.mjs';
import { temporaryFolder } from './helpers/folders.mjs';
import { hardenedMosquitto } from './helpers/hardened.mjs';
import { MOSQUITTO } from './helpers/mosquitto.mjs';
import { freePort } from './helpers/ports.mjs';
import { ROOT, runNode, startNode } from './helpers/processes.mjs';
import { until } from './helpers/wait.mjs';

const read = (path) => readFileSync(join(ROOT, path), 'utf8');
const dockerfile = read('deploy/Dockerfile');
const compose = load(read('deploy/docker-compose.yml'));
const unit = read('deploy/systemd/mqtt-p2p.service');
const manifests = readdirSync(join(ROOT, 'deploy/kubernetes')).map((name) => `deploy/kubernetes/${name}`);
const objects = manifests.flatMap((path) => loadAll(read(path)));
const objectOf = (kind) => objects.find((object) => object.kind === kind);
const pod = objectOf('StatefulSet').spec.template;
const [container] = pod.spec.containers;
const has = (program) => !spawnSync(program, ['--version']).error;

/** An exec form of a Dockerfile. */
const words = (args) => JSON.parse(args.replace(/^.*?(?=\[)/s, ''));
const image = Object.fromEntries(instructionsOf(dockerfile).map(({ name, args }) => [name, args]));

/** Runs `server` as a file says, with its own port, until it is ready; it must end well on SIGTERM. */
async function serves(t, args, environment, broker, { program = 'dist/mqtt-cli.js' } = {}) {
  const port = await freePort();
  const ours = args.map((word) => word.replace(/^(0\.0\.0\.0|127\.0\.0\.1):8780$/, `127.0.0.1:${port}`));
  assert.notDeepEqual(ours, args, 'it serves probes');
  const where = { MQTT_BROKER_HOST: broker.host, MQTT_BROKER_PORT: String(broker.port) };
  const data = { MQTT_DATA_DIR: join(temporaryFolder(t, 'data'), 'peer') };
  const server = startNode(t, [program, ...ours], { env: { ...environment, ...where, ...data } });
  const status = (path) =>
    fetch(`http://127.0.0.1:${port}${path}`).then(
      (response) => response.status,
      () => undefined,
    );
  await until(async () => (await status('/readyz')) === 200, `it is ready: ${server.output()}`);
  assert.equal(await status('/healthz'), 200);
  const end = async () => {
    server.kill('SIGTERM');
    assert.deepEqual(await server.ended, [0, null], server.output());
  };
  return { port, status, end, output: server.output };
}

test('every variable that is set is one that the command line knows', async () => {
  const { stdout } = await runNode(['dist/mqtt-cli.js', '--help']);
  const known = new Set(stdout.match(/\b(MQTT_[A-Z_]+|DEBUG)\b/g));
  const ofUnit = [...unit.matchAll(/^Environment=(\w+)=/gm)].map(([, name]) => name);
  const ofImage = [...image.ENV.matchAll(/(\w+)=/g)].map(([, name]) => name).filter((name) => name !== 'NODE_ENV');
  const ofKubernetes = [...Object.keys(objectOf('ConfigMap').data), ...Object.keys(objectOf('Secret').stringData)];
  const named = [...ofUnit, ...ofImage, ...ofKubernetes, ...Object.keys(compose.services.peer.environment)];
  for (const name of [...named, ...container.env.map(({ name }) => name)]) assert.ok(known.has(name), name);
});

test('the image has the version of the package wherever it is named', () => {
  const { version } = JSON.parse(read('package.json'));
  const named = `mqtt-p2p:${version}`;
  assert.deepEqual([compose.services.peer.image, container.image], [named, named]);
  assert.deepEqual(objectOf('Kustomization').images, [{ name: 'mqtt-p2p', newTag: version }]);
});

describe('the image', () => {
  test('hadolint has nothing against its Dockerfile', { skip: withoutTool('hadolint') }, () => {
    const { status, stdout } = tool('hadolint', ['--failure-threshold', 'style', 'deploy/Dockerfile']);
    assert.equal(status, 0, stdout);
  });

  test('is not root, is stopped by SIGTERM, and has nothing secret in its context', () => {
    assert.match(image.USER, /^[1-9]\d*:[1-9]\d*$/);
    assert.equal(image.STOPSIGNAL, 'SIGTERM');
    for (const path of ['deploy/secrets/broker.key', '.git/config', 'node_modules/x', 'target/x', 'team.key', '.env'])
      assert.equal(inContext(path), false, path);
  });

  test('is built stage by stage, holds what it needs, and its health check answers', async (t) => {
    const leftOut = [];
    const { root, config, cwd } = carryOut(dockerfile, temporaryFolder(t, 'image'), (command, folder) => {
      // Minutes of compiling: the addon that is here stands for it.
      if (command.includes('build:native')) {
        const made = readdirSync(ROOT).filter((name) => /^(binding\.(js|d\.ts)|mqtt-p2p\..*\.node)$/.test(name));
        for (const name of made) copyFileSync(join(ROOT, name), join(folder, name));
      } else if (!/apt-get|chown/.test(command)) return false;
      leftOut.push(command);
      return true;
    });
    t.diagnostic(`not run: ${leftOut.join('; ')}`);
    assert.equal(leftOut.length, 3);
    assert.equal(existsSync(join(root, cwd, 'node_modules/typescript')), false, 'only what it runs with is there');
    assert.equal(existsSync(join(root, cwd, 'src')), false);

    const [interpreter, program] = words(config.ENTRYPOINT);
    assert.equal(interpreter, 'node');
    const broker = await embedded(t);
    const { port, end } = await serves(t, words(config.CMD), {}, broker, { program: join(root, program) });
    const [node, ...check] = words(config.HEALTHCHECK);
    assert.equal(node, 'node');
    const onPort = (other) => check.map((word) => word.replace('127.0.0.1:8780', `127.0.0.1:${other}`));
    assert.equal((await runNode(onPort(port))).code, 0);
    assert.equal((await runNode(onPort(await freePort()))).code, 1);
    await end();
  });
});

describe('docker-compose.yml', () => {
  const { broker, peer } = compose.services;

  test('is valid', { skip: withoutModule('compose_spec') }, () => {
    const check =
      "import sys, yaml; from compose_spec.models import ComposeSpecification as C; C.model_validate(yaml.safe_load(sys.stdin), extra='forbid')";
    const { status, stderr } = python(['-c', check], read('deploy/docker-compose.yml'));
    assert.equal(status, 0, stderr);
    assert.notEqual(python(['-c', check], 'services: { a: { imag: x } }').status, 0);
  });

  test("mounts every file that Mosquitto's configuration names, and what is not in the project is in its README", () => {
    const configuration = read('deploy/mosquitto/mosquitto.conf').replace(/^#.*$/gm, '');
    const named = configuration.match(/\/etc\/mosquitto\/\S+|\/var\/lib\/mosquitto/g);
    const mounts = broker.volumes.map((volume) => volume.split(':'));
    const targets = mounts.map(([, target]) => target);
    for (const path of named) assert.ok(targets.includes(path), path);
    assert.ok(targets.includes(broker.command.at(-1)));
    const sources = [...mounts.map(([source]) => source), ...Object.values(compose.secrets).map(({ file }) => file)];
    for (const source of sources.filter((source) => source.startsWith('./'))) {
      const path = source.replace('./', 'deploy/');
      if (path.startsWith('deploy/secrets/'))
        assert.ok(read('deploy/README.md').includes(`\`${path.slice(15)}\``), path);
      else assert.ok(existsSync(join(ROOT, path)), path);
    }
  });

  const skip = !MOSQUITTO && !process.env.CI && 'Mosquitto is not installed';
  test('its peer is ready at a Mosquitto with its configuration', { skip }, async (t) => {
    const secrets = temporaryFolder(t, 'secrets');
    writeFileSync(join(secrets, 'server-password'), 'canary\n');
    const mosquitto = await hardenedMosquitto(t, { server: 'canary' });
    copyFileSync(mosquitto.caFile, join(secrets, 'ca.pem'));
    const entries = Object.entries(peer.environment).map(([name, value]) => {
      const filled = value.replace(/\$\{BROKER_NAME:.*\}/, 'localhost').replace(/\$\{\w+:-(.*)\}/, '$1');
      return [name, filled.replace('/run/secrets', secrets)];
    });
    for (const name of peer.secrets) assert.ok(existsSync(join(secrets, name)), name);
    const { end, output } = await serves(t, peer.command, Object.fromEntries(entries), mosquitto);
    await end();
    assert.doesNotMatch(output() + mosquitto.log(), /canary|Denied/);
  });
});

describe('the manifests', () => {
  for (const path of manifests) {
    const isManifest = !path.endsWith('kustomization.yaml');
    test(`${path} fits the schema of Kubernetes`, { skip: isManifest && withoutTool('kubernetes-validate') }, () => {
      if (!isManifest) return;
      const { status, stdout, stderr } = tool('kubernetes-validate', ['--strict', path]);
      assert.equal(status, 0, stdout + stderr);
    });
  }

  test('are those that the kustomization names', { skip: !has('kubectl') && 'kubectl is not installed' }, () => {
    const { resources } = objectOf('Kustomization');
    assert.deepEqual([...resources, 'kustomization.yaml'].sort(), manifests.map((path) => path.slice(18)).sort());
    const built = loadAll(execFileSync('kubectl', ['kustomize', 'deploy/kubernetes'], { cwd: ROOT, encoding: 'utf8' }));
    assert.equal(built.length, resources.length);
    for (const { kind, metadata } of built)
      assert.equal(metadata.namespace ?? kind, kind === 'Namespace' ? kind : 'mqtt-p2p');
  });

  test('fit together: labels, ports, volumes, and what pods may do', () => {
    const { spec } = objectOf('StatefulSet');
    assert.equal(spec.replicas, 3);
    const labels = JSON.stringify(pod.metadata.labels);
    for (const selector of [
      spec.selector.matchLabels,
      objectOf('Service').spec.selector,
      objectOf('PodDisruptionBudget').spec.selector.matchLabels,
      objectOf('NetworkPolicy').spec.podSelector.matchLabels,
    ])
      assert.equal(JSON.stringify(selector), labels);
    assert.equal(spec.serviceName, objectOf('Service').metadata.name);
    const volumes = [...pod.spec.volumes, ...spec.volumeClaimTemplates.map(({ metadata }) => metadata)];
    assert.deepEqual(container.volumeMounts.map(({ name }) => name).sort(), volumes.map(({ name }) => name).sort());
    assert.ok(container.env[0].value.startsWith(`${container.volumeMounts[0].mountPath}/`));
    assert.equal(pod.spec.securityContext.runAsNonRoot, true);
    assert.equal(`${pod.spec.securityContext.runAsUser}:${pod.spec.securityContext.runAsGroup}`, image.USER);
    assert.equal(pod.spec.securityContext.fsGroupChangePolicy, 'OnRootMismatch');
    assert.equal(container.securityContext.readOnlyRootFilesystem, true);
    assert.equal(container.securityContext.allowPrivilegeEscalation, false);
    assert.ok(container.args.includes(`0.0.0.0:${container.ports[0].containerPort}`));
    const { port, targetPort } = objectOf('Service').spec.ports[0];
    assert.deepEqual([targetPort, port], [container.ports[0].name, container.ports[0].containerPort]);
  });

  test('the pod is ready, and its probes are answered', async (t) => {
    const broker = await embedded(t);
    const environment = { ...objectOf('ConfigMap').data, ...objectOf('Secret').stringData };
    // The embedded broker has neither TLS nor users.
    const plain = { ...environment, MQTT_BROKER_PROTOCOL: 'mqtt' };
    const { status, end } = await serves(t, container.args, plain, broker);
    for (const probe of ['startupProbe', 'livenessProbe', 'readinessProbe']) {
      const { path, port } = container[probe].httpGet;
      assert.equal(port, container.ports[0].name);
      assert.equal(await status(path), 200, probe);
    }
    await end();
  });
});

describe('the systemd unit', () => {
  const [, program, line] = /^ExecStart=(\S+) (.*)$/m.exec(unit);

  test('its command line serves', async (t) => {
    assert.match(program, /\/mqtt-p2p$/);
    const { end } = await serves(t, line.split(' '), {}, await embedded(t));
    await end();
  });

  test('systemd accepts it, and finds it hardened', { skip: !has('systemd-analyze') && 'no systemd-analyze' }, (t) => {
    const path = join(temporaryFolder(t, 'unit'), 'mqtt-p2p.service');
    // The program is not installed here.
    writeFileSync(path, unit.replace(program, process.execPath));
    const verified = spawnSync('systemd-analyze', ['verify', '--man=no', path], { encoding: 'utf8' });
    assert.deepEqual([verified.status, verified.stderr], [0, '']);
    const { stdout } = spawnSync('systemd-analyze', ['security', '--offline=true', path], { encoding: 'utf8' });
    assert.ok(Number(/exposure level for .*: ([\d.]+)/.exec(stdout)?.[1]) < 2, stdout.slice(-200));
  });
});

test('yamllint has nothing against the files, nor the workflow', { skip: withoutTool('yamllint') }, () => {
  const spaces = 'braces: { max-spaces-inside: 1 }, comments: { min-spaces-from-content: 1 }';
  const rules = `line-length: { max: 140 }, document-start: disable, truthy: { check-keys: false }, ${spaces}`;
  const options = ['--strict', '-d', `{ extends: default, rules: { ${rules} } }`];
  const { status, stdout } = tool('yamllint', [...options, 'deploy', '.github']);
  assert.equal(status, 0, stdout);
});
