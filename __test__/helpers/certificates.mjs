import { generateKeyPairSync } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import forge from 'node-forge';
import { temporaryFolder } from './folders.mjs';

const HOUR_MS = 3_600_000;
/** The names of brokers of tests. */
const HERE = [
  { type: 2, value: 'localhost' },
  { type: 7, ip: '127.0.0.1' },
];

/**
 * A certificate authority of one's own, in a folder that is removed after the test. `file` is its certificate;
 * `issue(name, options)` makes a certificate and gives the paths `{ certFile, keyFile }` and their content.
 */
export function certificateAuthority(t, name = 'test CA') {
  const folder = temporaryFolder(t, 'certificates');
  const ca = keyPair();
  const own = certificate({ subject: name, issuer: name, key: ca, signer: ca, isCa: true });
  const file = join(folder, 'ca.pem');
  writeFileSync(file, own);
  let count = 0;
  const issue = (subject, { alternatives = HERE, from, to, selfSigned = false } = {}) => {
    const key = keyPair();
    const signed = selfSigned ? { issuer: subject, signer: key, isCa: true } : { issuer: name, signer: ca };
    const cert = certificate({ subject, key, alternatives, from, to, ...signed });
    const base = join(folder, `${++count}`);
    const paths = { certFile: `${base}.pem`, keyFile: `${base}.key` };
    writeFileSync(paths.certFile, cert);
    writeFileSync(paths.keyFile, key.private, { mode: 0o600 });
    return { ...paths, cert, key: key.private };
  };
  return { file, cert: own, issue };
}

/** Times for `issue`, in hours from now. */
export const validity = (fromHours, toHours) => ({
  from: new Date(Date.now() + fromHours * HOUR_MS),
  to: new Date(Date.now() + toHours * HOUR_MS),
});

function keyPair() {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    private: privateKey.export({ type: 'pkcs8', format: 'pem' }),
    public: publicKey.export({ type: 'spki', format: 'pem' }),
  };
}

function certificate({ subject, issuer, key, signer, isCa = false, alternatives = [], ...times }) {
  const made = forge.pki.createCertificate();
  made.publicKey = forge.pki.publicKeyFromPem(key.public);
  made.serialNumber = `01${forge.util.bytesToHex(forge.random.getBytesSync(8))}`;
  const { from, to } = { ...validity(-1, 24), ...defined(times) };
  made.validity.notBefore = from;
  made.validity.notAfter = to;
  made.setSubject([{ name: 'commonName', value: subject }]);
  made.setIssuer([{ name: 'commonName', value: issuer }]);
  made.setExtensions([
    { name: 'basicConstraints', cA: isCa, critical: true },
    ...(alternatives.length > 0 ? [{ name: 'subjectAltName', altNames: alternatives }] : []),
  ]);
  made.sign(forge.pki.privateKeyFromPem(signer.private), forge.md.sha256.create());
  return forge.pki.certificateToPem(made);
}

const defined = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined));
