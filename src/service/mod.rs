//! `P2PNetworkManager`: the repositories of one service on one connection.
//!
//! | file | what |
//! | --- | --- |
//! | `config.rs`, `broker_config.rs`, `wrong_value.rs`, `error.rs` | what applications set, and what can go wrong |
//! | `manager.rs`, `calls.rs` | the service: its life, and what it is asked |
//! | `startup.rs` | before it connects: opening storage |
//! | `keys.rs` | the keys of encrypted repositories |
//! | `membership.rs` | who may take part in a repository |
//! | `router.rs` | between the one connection and the repositories |
//! | `inbox.rs`, `repository_task.rs` | one repository: what waits for it, and the task that owns its synchroniser |
//! | `keeper.rs` | where its documents are kept |
//! | `files/` | repositories whose canvases are also files in a folder |
//! | `mailbox.rs`, `item.rs`, `json.rs` | the ordered channel to the application, and the shapes in it |
//! | `probe.rs` | real round trips, for health and measurements |
//! | `tap.rs` | listens to everything below the topic prefix, for people who watch a broker |

mod broker_config;
mod calls;
mod config;
mod error;
mod files;
mod inbox;
mod item;
mod json;
mod keeper;
mod key_sources;
mod keys;
mod mailbox;
mod manager;
mod membership;
mod performance;
mod probe;
mod repository_task;
mod rotation;
mod router;
mod startup;
mod tap;
mod wrong_value;

pub use broker_config::{BrokerConfig, Protocol, TlsConfig};
pub use config::{FeaturesConfig, RepositoryConfig, RepositoryObject, ServiceConfig, StorageConfig};
pub use error::ServiceError;
pub use key_sources::EncryptionConfig;
pub use mailbox::{Doorbell, Mailbox};
pub use manager::P2PNetworkManager;
pub use performance::PerformanceConfig;
pub use tap::Tap;
pub use wrong_value::without_value;
