//! The native half of `MQTTIntegrationService`.
//!
//! Calls are enqueued under a number that JavaScript chooses; their outcomes come, with the events and in document
//! order, through the mailbox, which JavaScript drains when the doorbell rings. So nothing blocks either side, one
//! bounded queue has one rule, and many small items cross the boundary at once.

use std::sync::{Arc, OnceLock};

use napi::bindgen_prelude::Function;
use napi::threadsafe_function::ThreadsafeFunctionCallMode;
use napi_derive::napi;
use tokio::runtime::Runtime;
use zeroize::Zeroizing;

use super::errors::{Coded, coded};
use super::keys::fill;
use super::logging;
use crate::canvas::{Canvas, CanvasPatch, Seen, Version};
use crate::ids::CanvasId;
use crate::limits::MAX_PATCH_HERE_BYTES;
use crate::service::{Doorbell, Mailbox, P2PNetworkManager, ServiceConfig, ServiceError};
use crate::sync::Command;
use crate::wire::Role;

/// The core's threads, shared by all services of the process.
fn runtime() -> napi::Result<&'static Runtime, String> {
    static RUNTIME: OnceLock<Option<Runtime>> = OnceLock::new();
    let make = || {
        // JavaScript, and often the broker, want the other half.
        let threads = (std::thread::available_parallelism().map_or(2, usize::from) / 2).clamp(1, 8);
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .enable_all()
            .thread_name("mqtt-p2p")
            .build()
            .ok()
    };
    let failed = || Coded::new("ERR_CONFIG_INVALID".to_owned(), "the system gave no threads for the core");
    RUNTIME.get_or_init(make).as_ref().ok_or_else(failed)
}

pub(super) fn map<T>(result: Result<T, ServiceError>) -> napi::Result<T, String> {
    result.map_err(|error| coded(&error))
}

fn version(text: &str) -> Result<Version, ServiceError> {
    text.parse().map_err(|error| ServiceError::BadArgument { what: "the version", reason: format!("{error}") })
}

/// A service from its configuration as JSON, with what is random from the operating system.
pub(super) fn manager_of(config_json: &str, mailbox: Arc<Mailbox>) -> napi::Result<P2PNetworkManager, String> {
    let config = map(ServiceConfig::from_json(config_json))?;
    let mut seed = [0; 32];
    getrandom::fill(&mut seed)
        .map_err(|error| Coded::new("ERR_CONFIG_INVALID".to_owned(), format!("no randomness: {error}")))?;
    map(P2PNetworkManager::new(config, seed, mailbox, runtime()?.handle().clone()))
}

/// How a mailbox tells JavaScript. One ring waits at most; it rings again when it is filled after having been drained.
pub(super) fn ring(doorbell: Function<'_, (), ()>) -> napi::Result<Doorbell, String> {
    let ring = doorbell
        .build_threadsafe_function::<()>()
        .weak::<true>()
        .callee_handled::<false>()
        .build()
        .map_err(|error| Coded::new("ERR_CONFIG_INVALID".to_owned(), error.reason.clone()))?;
    Ok(Arc::new(move || {
        ring.call((), ThreadsafeFunctionCallMode::NonBlocking);
    }))
}

/// One service.
#[napi]
pub struct NativeService {
    manager: P2PNetworkManager,
    mailbox: Arc<Mailbox>,
}

#[napi]
impl NativeService {
    /// Makes a service from its configuration as JSON.
    #[napi(constructor)]
    pub fn new(config_json: String) -> napi::Result<Self, String> {
        logging::init();
        let mailbox = Arc::new(Mailbox::default());
        Ok(Self { manager: manager_of(&config_json, mailbox.clone())?, mailbox })
    }

    /// Says how JavaScript is told that the mailbox has something. Does not keep the process alive.
    #[napi]
    pub fn start(&self, doorbell: Function<'_, (), ()>) -> napi::Result<(), String> {
        self.mailbox.set_doorbell(Some(ring(doorbell)?));
        Ok(())
    }

    /// Everything in the mailbox, as a JSON array.
    #[napi]
    pub fn drain(&self) -> String {
        self.mailbox.drain()
    }

    /// Whether the process's logs come as events too.
    #[napi]
    pub fn set_logs(&self, wanted: bool) {
        logging::ignore(&self.mailbox);
        if wanted {
            logging::listen(&self.mailbox);
        }
    }

    /// Connects.
    #[napi]
    pub fn initialize(&self, call: f64) {
        self.manager.initialize(number(call));
    }

    /// Value: null, when the broker has everything edited so far.
    #[napi]
    pub fn flush(&self, call: f64) -> napi::Result<(), String> {
        map(self.manager.flush(number(call)))
    }

    /// Sends what waits, says goodbye, ends everything.
    #[napi]
    pub fn disconnect(&self, call: f64) {
        self.manager.disconnect(number(call));
    }

    /// Value: the version.
    #[napi]
    pub fn create_canvas(
        &self,
        call: f64,
        repository: String,
        canvas_id: String,
        canvas_json: String,
        author: String,
    ) -> napi::Result<(), String> {
        self.call(call, &repository, move || {
            let canvas = CanvasId::new(&canvas_id)?;
            Ok(Command::Create { canvas, content: Canvas::from_json(&canvas_json)?, author })
        })
    }

    /// Value: the version of what was passed.
    #[napi]
    #[allow(clippy::too_many_arguments, reason = "JavaScript passes them one by one")]
    pub fn update_canvas(
        &self,
        call: f64,
        repository: String,
        canvas_id: String,
        canvas_json: String,
        author: String,
        base: Option<String>,
        remembered: Option<String>,
    ) -> napi::Result<(), String> {
        self.call(call, &repository, move || {
            let canvas = CanvasId::new(&canvas_id)?;
            let base = base.as_deref().map(version).transpose()?;
            let remembered = remembered.as_deref().map(version).transpose()?;
            Ok(Command::Update { canvas, content: Canvas::from_json(&canvas_json)?, base, remembered, author })
        })
    }

    /// Value: the version. Returns whether the mailbox has something, of which the doorbell does not tell.
    #[napi]
    #[allow(clippy::too_many_arguments, reason = "JavaScript passes them one by one")]
    pub fn patch_canvas(
        &self,
        call: f64,
        repository: String,
        canvas_id: String,
        patch_json: String,
        author: String,
        base: Option<String>,
        told: Option<String>,
    ) -> napi::Result<bool, String> {
        let small = patch_json.len() <= MAX_PATCH_HERE_BYTES;
        let prepare = move || {
            let canvas = CanvasId::new(&canvas_id)?;
            let seen = match (base.as_deref().map(version).transpose()?, told.as_deref().map(version).transpose()?) {
                (Some(base), _) => Seen::Base(base),
                (None, Some(told)) => Seen::Told(told),
                (None, None) => Seen::Unknown,
            };
            Ok(Command::Patch { canvas, patch: CanvasPatch::from_json(&patch_json)?, seen, author })
        };
        if small {
            map(self.manager.call_here(number(call), &repository, prepare))
        } else {
            self.call(call, &repository, prepare).map(|()| false)
        }
    }

    /// Value: `{ version, canvas }`.
    #[napi]
    pub fn get_canvas(
        &self,
        call: f64,
        repository: String,
        canvas_id: String,
        at: Option<String>,
    ) -> napi::Result<(), String> {
        self.call(call, &repository, move || {
            let canvas = CanvasId::new(&canvas_id)?;
            Ok(Command::Get { canvas, at: at.as_deref().map(version).transpose()? })
        })
    }

    /// Value: an array.
    #[napi]
    pub fn list_canvases(&self, call: f64, repository: String) -> napi::Result<(), String> {
        self.call(call, &repository, || Ok(Command::List))
    }

    /// Value: null.
    #[napi]
    pub fn delete_canvas(
        &self,
        call: f64,
        repository: String,
        canvas_id: String,
        author: String,
    ) -> napi::Result<(), String> {
        self.call(call, &repository, move || Ok(Command::Delete { canvas: CanvasId::new(&canvas_id)?, author }))
    }

    /// Value: null.
    #[napi]
    pub fn share_canvas(
        &self,
        call: f64,
        repository: String,
        canvas_id: String,
        target: Option<String>,
    ) -> napi::Result<(), String> {
        map(self.manager.share(number(call), &repository, &canvas_id, target.as_deref()))
    }

    /// Value: null.
    #[napi]
    pub fn unshare_canvas(&self, call: f64, repository: String, canvas_id: String) -> napi::Result<(), String> {
        self.call(call, &repository, move || Ok(Command::Unshare { canvas: CanvasId::new(&canvas_id)? }))
    }

    /// Value: how often the key has been replaced.
    #[napi]
    pub fn rotate_key(&self, call: f64, repository: String, options_json: String) -> napi::Result<(), String> {
        let mut secret = Zeroizing::new([0; 32]);
        fill(&mut *secret)?;
        map(self.manager.rotate_key(number(call), &repository, &options_json, secret))
    }

    /// Value: a report.
    #[napi]
    pub fn sync_canvas(&self, call: f64, repository: String, canvas_id: String) -> napi::Result<(), String> {
        self.call(call, &repository, move || Ok(Command::Sync { canvas: Some(CanvasId::new(&canvas_id)?) }))
    }

    /// Value: a report.
    #[napi]
    pub fn sync_repository(&self, call: f64, repository: String) -> napi::Result<(), String> {
        self.call(call, &repository, || Ok(Command::Sync { canvas: None }))
    }

    /// Value: null.
    #[napi]
    pub fn enable_real_time_collaboration(
        &self,
        call: f64,
        repository: String,
        canvas_id: String,
    ) -> napi::Result<(), String> {
        self.set_live(call, &repository, canvas_id, true)
    }

    /// Value: null.
    #[napi]
    pub fn disable_real_time_collaboration(
        &self,
        call: f64,
        repository: String,
        canvas_id: String,
    ) -> napi::Result<(), String> {
        self.set_live(call, &repository, canvas_id, false)
    }

    /// Value: null. Without a presence the earlier one is removed.
    #[napi]
    pub fn set_presence(
        &self,
        call: f64,
        repository: String,
        canvas_id: String,
        presence: Option<String>,
        author: Option<String>,
    ) -> napi::Result<(), String> {
        self.call(call, &repository, move || {
            Ok(Command::SetCursor { canvas: CanvasId::new(&canvas_id)?, presence, author })
        })
    }

    /// Value: an array.
    #[napi]
    pub fn discover_peers(&self, call: f64, timeout_ms: Option<f64>) -> napi::Result<(), String> {
        map(self.manager.discover_peers(number(call), timeout_ms.map(number)))
    }

    /// Value: an array.
    #[napi]
    pub fn list_members(&self, call: f64, repository: String) -> napi::Result<(), String> {
        self.call(call, &repository, || Ok(Command::Members))
    }

    /// Value: null.
    #[napi]
    pub fn set_member(&self, call: f64, repository: String, peer_id: String, role: String) -> napi::Result<(), String> {
        self.call(call, &repository, move || {
            let peer = peer_id.parse()?;
            let unknown = || ServiceError::BadArgument {
                what: "the role",
                reason: format!("'{role}' is none of admin, writer, reader, removed"),
            };
            Ok(Command::SetMember { peer, role: Role::of_word(&role).ok_or_else(unknown)? })
        })
    }

    /// Value: null.
    #[napi]
    pub fn broadcast_message(
        &self,
        call: f64,
        message_json: String,
        repository: Option<String>,
    ) -> napi::Result<(), String> {
        map(self.manager.broadcast(number(call), message_json, repository.as_deref()))
    }

    /// Value: a report.
    #[napi]
    pub fn health_check(&self, call: f64) -> napi::Result<(), String> {
        map(self.manager.health_check(number(call)))
    }

    /// Value: whether a message came back.
    #[napi]
    pub fn test_connection(&self, call: f64) -> napi::Result<(), String> {
        map(self.manager.test_connection(number(call)))
    }

    /// Value: a report.
    #[napi]
    pub fn performance_test(&self, call: f64, options: Option<String>) -> napi::Result<(), String> {
        map(self.manager.performance_test(number(call), options.as_deref()))
    }

    /// The whole service at a glance, as JSON.
    #[napi]
    pub fn network_status(&self) -> String {
        self.manager.network_status()
    }

    /// One repository at a glance, as JSON.
    #[napi]
    pub fn repository_status(&self, repository: String) -> napi::Result<String, String> {
        map(self.manager.repository_status(&repository))
    }

    fn set_live(&self, call: f64, repository: &str, canvas_id: String, live: bool) -> napi::Result<(), String> {
        self.call(call, repository, move || Ok(Command::SetLive { canvas: CanvasId::new(&canvas_id)?, live }))
    }

    fn call(
        &self,
        call: f64,
        repository: &str,
        prepare: impl FnOnce() -> Result<Command, ServiceError> + Send + 'static,
    ) -> napi::Result<(), String> {
        map(self.manager.call(number(call), repository, prepare))
    }
}

/// JavaScript's numbers; what is negative or no number becomes 0.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
pub(super) fn number(value: f64) -> u64 {
    value as u64
}

/// `{ valid, errors }` as JSON.
#[napi]
pub fn validate_config(config_json: String) -> String {
    let errors = match ServiceConfig::from_json(&config_json) {
        Ok(_) => Vec::new(),
        Err(ServiceError::ConfigInvalid(errors)) => errors,
        Err(other) => vec![other.to_string()],
    };
    serde_json::json!({ "valid": errors.is_empty(), "errors": errors }).to_string()
}

/// The defaults as JSON.
#[napi]
pub fn default_config() -> String {
    serde_json::to_string(&ServiceConfig::default()).unwrap_or_default()
}
