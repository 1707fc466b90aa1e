import { homedir } from 'node:os';
import { join } from 'node:path';
import type { MQTTIntegrationConfig } from '../index.js';
import { portOf } from './broker.js';

export type Environment = Record<string, string | undefined>;

/**
 * Where a command keeps its canvases by default. Each command has a directory of its own, so that a client works beside a
 * running server; and each broker, so that canvases made at one are not carried to another that happens to be named next.
 */
export function dataDirectory(
  command: string,
  { broker, topicPrefix }: Pick<MQTTIntegrationConfig, 'broker' | 'topicPrefix'>,
  environment: Environment,
  platform: NodeJS.Platform = process.platform,
): string {
  const network = [broker.host ?? 'localhost', portOf(broker), ...(topicPrefix === undefined ? [] : [topicPrefix])];
  return join(applicationData(environment, platform), command, network.map(fileName).join('-'));
}

/** This program's part of the system's place for data of applications. */
export function applicationData(environment: Environment, platform: NodeJS.Platform = process.platform): string {
  return join(dataOfAll(environment, platform), 'mqtt-p2p');
}

function dataOfAll(environment: Environment, platform: NodeJS.Platform): string {
  if (platform === 'win32') return environment.LOCALAPPDATA || join(homedir(), 'AppData', 'Local');
  if (platform === 'darwin') return join(homedir(), 'Library', 'Application Support');
  return environment.XDG_DATA_HOME || join(homedir(), '.local', 'share');
}

/** What every file system takes as part of a name. */
function fileName(part: string | number): string {
  return String(part).replace(/[^\w.-]/g, '_');
}
