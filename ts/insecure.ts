import type { MQTTIntegrationConfig } from '../index.js';

const MESSAGE =
  "the MQTT broker's certificate is not verified (broker.tls.insecure): who answers may be anybody, and has the password";

/** What to call at every connection: warns if the broker is not verified. */
export function insecureWarning(config: MQTTIntegrationConfig): () => void {
  // It may be any value: the core checks it.
  const insecure = (config as Partial<MQTTIntegrationConfig> | null)?.broker?.tls?.insecure === true;
  return () => {
    if (insecure) process.emitWarning(MESSAGE, { code: 'MQTT_P2P_TLS_INSECURE' });
  };
}
