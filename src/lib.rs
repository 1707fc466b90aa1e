//! Real-time, peer-to-peer collaboration on JSON Canvas boards through any MQTT broker.
//!
//! A layer imports only from those above it in this table; `scripts/check-layers.mjs` enforces it.
//!
//! | layer | module | what |
//! | --- | --- | --- |
//! | L0 | [`ids`], [`time`], [`limits`], [`histogram`] | newtypes, time as a value, every cap and default |
//! | L1 | [`canvas`] | the document model: pure, an Automerge document per canvas |
//! | L2 | [`wire`], [`crypto`] | topics, envelope, messages, fragments; identity and signatures |
//! | L3 | [`sync`] | `CanvasP2PSynchronizer`: one repository's state machine, without I/O or clock |
//! | L4 | `drivers` | MQTT connection (`CanvasMQTTBroker`), embedded broker, storage |
//! | L5 | `service` | `P2PNetworkManager`: repositories, configuration, health, shutdown |
//! | L6 | `binding` | the Node.js addon: delegation only |

pub mod canvas;
pub mod crypto;
pub mod histogram;
pub mod ids;
pub mod limits;
pub mod sync;
pub mod time;
pub mod wire;

#[cfg(feature = "drivers")]
pub mod drivers;
#[cfg(feature = "drivers")]
pub mod service;

#[cfg(feature = "node")]
mod binding;
